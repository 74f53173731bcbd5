// What a listener tells of handshakes, while somebody wants to know.
//
// Rule: each is a function of its own. A report would make the frame of the connection's task so large
// that every connection kept 4 KiB more.

import Synchronization

extension ListenerCore {
    /// Tells of a handshake that came to nothing.
    @inline(never)
    func tell(of connection: Connection, _ error: SocketError) {
        // Those who did not come as far have been told of.
        guard closeReason == nil || error.code != .notAdmitted else { return }
        let remote = connection.remote ?? localAddress
        events.publish(
            error.code == .notAdmitted
                ? .refused(.queueTime, remote: remote) : .handshakeFailed(error, remote: remote)
        )
    }

    /// Tells of a handshake that is done.
    @inline(never)
    func tell(of connection: Connection) {
        let (report, remote) = connection.state.withLock { s in (s.engine?.report, s.remote) }
        guard let report else { return }
        events.publish(.handshakeDone(report, remote: remote ?? localAddress))
    }

    /// Tells of a connection that is ready.
    @inline(never)
    func tellReady(of connection: Connection) {
        let (timings, remote) = connection.state.withLock { s in (s.timings, s.remote) }
        traffic.publish(.ready(timings, remote: remote ?? localAddress))
    }
}
