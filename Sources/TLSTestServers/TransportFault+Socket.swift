// What a `Socket` makes of the faults, in the words of its errors.

public import Sockets
public import TLSTestKit

extension TransportFault.Verdict {
    /// The code of the error that a `Socket` throws; nil when there is none.
    ///
    /// What only a deadline ends has the code of that deadline.
    public var socketCode: SocketError.Code? {
        switch self {
        case .accepted, .ended: nil
        case .handshakeFails: .handshakeFailed
        case .streamFails(.truncated): .truncated
        case .streamFails: .tlsFailed
        case .reset: .peerReset
        case .stalls(.open): .idleTimedOut
        case .stalls: .handshakeTimedOut
        }
    }

    /// The code of the TLS error beneath; nil when there is none.
    public var tlsCode: TLSError.Code? {
        switch self {
        case .handshakeFails(let code, _, _), .streamFails(let code): code
        case .accepted, .ended, .reset, .stalls: nil
        }
    }

    /// The alert that ended the handshake; nil when none did.
    public var alert: Alert? {
        if case .handshakeFails(_, _, let alert) = self { alert } else { nil }
    }

    /// Where the client stands when it ends; nil when nothing ends it, or a reset may come at once.
    public var phase: HandshakePhase? {
        switch self {
        case .handshakeFails(_, let phase, _), .stalls(let phase): phase
        case .streamFails: .open
        case .accepted, .ended, .reset: nil
        }
    }
}

extension CertificateFault.Verdict {
    /// The code of the error that a `Socket` throws; nil when there is none.
    public var socketCode: SocketError.Code? {
        switch self {
        case .accepted: nil
        case .refused: .certificateRejected
        case .handshakeFailed: .handshakeFailed
        }
    }
}
