"""Several query frontends behind one port: who starts them, and what they answer as one."""
