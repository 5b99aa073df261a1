"""The pages that students see."""
