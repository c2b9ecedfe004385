"""Several query frontends behind one port: their parent process, and the answers that they combine."""
