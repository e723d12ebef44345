"""The report of a study: one HTML file, and its account in the order of ADEMP."""
