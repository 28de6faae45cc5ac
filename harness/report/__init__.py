"""Tables and pictures made of rows; every printed figure can be traced to the runs behind it."""
