"""What the page in the browser asks the compiler, and what it is told: programs, graphs, rewrites, kernels, runs and trainings as plain JSON."""
