// What users of `Sockets` need of the modules below comes with it: policies, identities,
// certificates and reports of the engine, and the group of event loops.

@_exported public import TLSEngine
@_exported public import class SocketCore.EventLoopGroup
