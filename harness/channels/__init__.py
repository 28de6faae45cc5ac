"""Which channels live or die together, gates on them, what a width costs, and cutting."""
