//! The vocabulary of the chain: values with their exact encodings, no I/O, no clock, no JSON.
