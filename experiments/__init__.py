"""Comparisons behind the project's choices: resumable scripts, with their committed results in results/."""
