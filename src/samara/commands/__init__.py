"""What stands behind the commands of `samara.cli`, one module per command."""
