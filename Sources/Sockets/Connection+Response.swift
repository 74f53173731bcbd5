// What a listener's response asks of a connection that is open, and who is told when it has ended.

import SocketCore
import Synchronization

extension Connection {
    var remote: SocketAddress? { state.withLock { $0.remote } }

    /// Adds something to do when the connection has ended; at once if it has.
    func onClosed(_ notice: @escaping @Sendable () -> Void) {
        let isOver = state.withLock { s -> Bool in
            guard s.closeReason == nil else { return true }
            s.onClosed.append(notice)
            return false
        }
        if isOver { notice() }
    }

    /// Applies the options of a response to a connection that is open.
    func apply(_ options: SocketResponseOptions) throws(SocketError) {
        let kernel = try SocketOptions(
            noDelay: options.noDelay,
            sendBufferSize: options.sendBufferSize,
            receiveBufferSize: options.receiveBufferSize,
            ttl: options.ttl
        )
        let idle = try Connector.checked(options.idleTimeout, "idleTimeout")
        let timeout = try Connector.checked(options.connectionTimeout, "connectionTimeout")
        if let idle { setIdleTimeout(idle) }
        // The deadline is for a body to be sent; without one there is nothing to be late.
        if let timeout, options.body != nil {
            state.withLock { s in
                guard s.descriptor >= 0 else { return }
                s.establishDeadline = EventLoop.readClock().advanced(by: timeout)
            }
        }
        try set(kernel)
        armTimer()
    }
}
