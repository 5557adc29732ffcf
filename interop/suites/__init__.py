"""Programs that use real AMQP clients the way their users do; `interop/run` starts them."""
