"""The only meeting place of portal and daemon. Imports nothing, so that the daemon stays small."""
