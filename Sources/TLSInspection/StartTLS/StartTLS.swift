// A dialogue on a socket, and what its failures are called in reports.

import Sockets

/// What to say before TLS, and to whom.
struct StartTLS: Hashable, Sendable {
    var kind: StartTLSProtocol
    /// Whom to ask for, where the protocol says so in the clear.
    var name: String

    /// Asks for TLS on a connection that stands, and returns when it may begin.
    ///
    /// The socket's signal bounds the time. What was read behind the go-ahead is a failure.
    func ask(on socket: Socket) async throws(DialogueFailure) {
        var dialogue = Dialogue(kind, name: name)
        if !dialogue.opening.isEmpty { try await send(dialogue.opening, on: socket) }
        var bytes: [UInt8] = []
        while true {
            switch dialogue.take(bytes) {
            case .more: bytes = try await read(socket)
            case .send(let command):
                try await send(command, on: socket)
                bytes = []
            case .done(let request):
                if !request.isEmpty { try await send(request, on: socket) }
                return
            case .failed(let failure): throw failure
            }
        }
    }

    private func send(_ bytes: [UInt8], on socket: Socket) async throws(DialogueFailure) {
        do throws(SocketError) { try await socket.write(bytes) } catch { throw failure(error) }
    }

    private func read(_ socket: Socket) async throws(DialogueFailure) -> [UInt8] {
        do throws(SocketError) {
            if let bytes = try await socket.read() { return bytes }
        } catch {
            throw failure(error)
        }
        throw .closed
    }

    private func failure(_ error: SocketError) -> DialogueFailure {
        [.aborted, .idleTimedOut].contains(error.code) ? .silent : .closed
    }
}

extension DialogueFailure {
    /// What it is called in a report of the protocol.
    func failure(
        _ kind: StartTLSProtocol
    ) -> (InspectionReport.Outcome, ExitStatus, InspectionReport.Failure) {
        let (result, code, message, hint): (InspectionReport.Outcome, String, String, String?) =
            switch self {
            case .refused(let words):
                (.starttlsRefused, "starttls_refused", "STARTTLS refused: \(words)", nil)
            case .notSpoken(let words):
                (
                    .starttlsRefused, "starttls_not_spoken",
                    "STARTTLS refused: what was said is not \(kind.title): \(words)",
                    "Check the port and the protocol"
                )
            case .endless:
                (
                    .starttlsRefused, "starttls_endless",
                    "STARTTLS refused: the server talks without end", nil
                )
            case .ahead:
                (
                    .handshakeFailed, "plaintext_before_tls",
                    "the server said more in the clear behind its go-ahead",
                    "Somebody on the way may have put it there (CVE-2011-0411)"
                )
            case .closed:
                (.closed, "closed_during_starttls", "the server hung up before TLS", nil)
            case .silent:
                (
                    .timeout, "starttls_timed_out", "no answer in time, before TLS",
                    "Another protocol may be spoken there, or TLS from the first byte"
                )
            }
        return (
            result, .noHandshake,
            InspectionReport.Failure(code: code, phase: "starttls", message: message, hint: hint)
        )
    }
}

extension Probe {
    /// What to say before TLS; nil where TLS is spoken from the first byte.
    var upgrade: StartTLS? {
        starttls.map { StartTLS(kind: $0, name: sentServername ?? target.address) }
    }
}

extension SocketInit {
    /// The same connection in the clear: what is said on it is over when the time is.
    func inTheClear(for time: Duration) -> SocketInit {
        SocketInit(type: .tcp, remote: remote) {
            $0.connectionTimeout = connectionTimeout
            $0.limits = limits
            $0.addressFamily = addressFamily
            $0.noDelay = true
            $0.signal = .timeout(time)
        }
    }
}
