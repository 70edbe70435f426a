"""A job: what may be asked, whether it fits, how it lives, what comes out."""
