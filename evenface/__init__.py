"""The roof: settings, workflow, experiment and page; it imports all packages, none imports it."""
