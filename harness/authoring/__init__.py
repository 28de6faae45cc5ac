"""For authors of methods: a file to begin with, and the check of what it became."""
