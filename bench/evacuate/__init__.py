"""One Spot host ends: ours, a plain drain, nothing."""
