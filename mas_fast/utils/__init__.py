"""What any package may need and none is about: files, checks of arguments, readers, devices."""
