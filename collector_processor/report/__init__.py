"""Reports that open in any browser: one HTML file with tables and plots in it, no script and nothing loaded."""
