"""The likelihood of theta, F profiled out, and all its derivatives."""
