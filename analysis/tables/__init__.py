"""Tables of a study: tidy numbers first, then Markdown, CSV, LaTeX or a console."""
