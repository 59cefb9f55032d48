"""SUPERB (arXiv:2105.01051): what the features of a frozen encoder are good for, by small heads that learn ten tasks."""
