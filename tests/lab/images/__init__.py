"""Images in the lab's own registry, made of programs of this machine."""
