"""One file for each format that findings are printed in."""
