"""ABX discrimination: is a sound nearer to another of its kind than to one of another kind?"""
