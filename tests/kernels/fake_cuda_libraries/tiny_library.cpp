// A library of version 7 with one function.
extern "C" int gi_tiny_version() { return 7; }
