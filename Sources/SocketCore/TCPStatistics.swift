internal import CLinux

/// What the kernel knows about a TCP connection (TCP_INFO, tcp(7)).
package struct TCPStatistics: Hashable, Sendable {
    /// Segments sent since the connection began, retransmissions included.
    package let segmentsSent: UInt64
    /// Segments received since the connection began.
    package let segmentsReceived: UInt64
    /// Segments sent again.
    package let retransmits: UInt64
    /// Smoothed round trip time.
    package let roundTripTime: Duration
    /// Mean deviation of the round trip time.
    package let roundTripVariance: Duration
    /// Smallest round trip time of late; nil before the first measurement.
    package let minimumRoundTripTime: Duration?
    /// Bytes of a full segment to the peer.
    package let maximumSegmentSize: Int
    /// Congestion window in segments.
    package let congestionWindow: Int
    /// Bytes the peer has acknowledged.
    package let bytesAcknowledged: UInt64
    /// Bytes received in order.
    package let bytesReceived: UInt64
    /// Latest delivery rate in bytes a second.
    package let deliveryRate: UInt64

    /// Reads the statistics of a TCP socket; nil if the descriptor is none.
    package static func read(_ descriptor: Int32) -> TCPStatistics? {
        Syscalls.tcpStatistics(descriptor).map(TCPStatistics.init)
    }

    private init(_ raw: cl_tcp_statistics) {
        segmentsSent = UInt64(raw.segments_sent)
        segmentsReceived = UInt64(raw.segments_received)
        retransmits = UInt64(raw.retransmits)
        roundTripTime = .microseconds(raw.round_trip_us)
        roundTripVariance = .microseconds(raw.round_trip_variance_us)
        // The kernel's mark for "none yet" is the largest number.
        minimumRoundTripTime =
            raw.minimum_round_trip_us == .max ? nil : .microseconds(raw.minimum_round_trip_us)
        maximumSegmentSize = Int(raw.send_mss)
        congestionWindow = Int(raw.congestion_window)
        bytesAcknowledged = raw.bytes_acknowledged
        bytesReceived = raw.bytes_received
        deliveryRate = raw.delivery_rate
    }
}
