"""What runs inside the plugin: it asks the engine for its peers, connects to them and carries packets."""
