// One probe, one connection, one report. The handshake accepts whatever is presented and the
// verdict is told beside it, so that a bad certificate can be looked at as well as a good one.
//
// Theory of operation
//
//     connect, handshake             what was agreed on, chain, staple, timings
//     settle                         what comes behind the handshake, for a bounded time
//     close
//
// In TLS 1.3 a server is heard last when the client believes to be done already: session tickets,
// and the refusal of a client's certificate, come one round trip later. So the probe says that it
// sends no more and reads to the end. A server that does not end is not waited for: after a few
// round trips what has come is all that is told. A server that asked for a certificate is not told
// anything before it has judged: data it has not read when it refuses would make its kernel send a
// reset, which may overtake the alert.

public import Sockets

/// Makes probes and reports what they found out.
public struct Inspector: Sendable {
    /// When certificates must be valid, and from when days are counted.
    public var now: UnixTime
    /// The lightest finding that shows in the exit code; `bad` by default.
    public var failOn: Severity

    /// Makes an inspector.
    ///
    /// - Parameters:
    ///   - now: When certificates must be valid.
    ///   - failOn: The lightest finding that shows in the exit code.
    public init(now: UnixTime, failOn: Severity = .bad) {
        self.now = now
        self.failOn = failOn
    }

    /// Makes one handshake and tells everything there is to read.
    ///
    /// Never fails: what went wrong stands in the report. Cancelling the task ends the probe.
    ///
    /// - Parameter probe: What to inspect.
    /// - Returns: The report, also for a probe that cannot be made.
    public func run(_ probe: Probe) async -> InspectionReport {
        await inspect(probe, settles: true)
    }

    /// Makes one handshake and does not wait for what comes behind it.
    ///
    /// - Parameter probe: What to inspect.
    /// - Returns: The report, which knows of no tickets and of no late refusal.
    func glance(_ probe: Probe) async -> InspectionReport {
        await inspect(probe, settles: false)
    }

    private func inspect(_ probe: Probe, settles: Bool) async -> InspectionReport {
        var observation = Observation(probe: probe)
        do throws(SocketError) {
            let options = probe.socketInit(at: now)
            let socket = try Socket(
                probe.starttls == nil ? options : options.inTheClear(for: probe.timeout)
            )
            await observe(socket, &observation, settles, options.tls)
            // What had to be learned is known; a failure to say goodbye changes nothing of it.
            if settles {
                try? await socket.close()
            } else {
                try? await socket.shutdownWrite()
            }
        } catch {
            observation.failure = error
        }
        return observation.report(at: now, failOn: failOn)
    }

    private func observe(
        _ socket: Socket,
        _ observation: inout Observation,
        _ settles: Bool,
        _ tls: TLSSocketInit
    ) async {
        defer {
            observation.timings = socket.timings
            observation.address = socket.remoteAddress
        }
        do throws(SocketError) {
            _ = try await socket.ready
            if let upgrade = observation.probe.upgrade {
                do throws(DialogueFailure) {
                    try await upgrade.ask(on: socket)
                } catch {
                    observation.refusal = error
                    return
                }
                try await socket.startTLS(tls)
            }
            observation.handshake = socket.report
            observation.ending = settles ? await settle(socket) : .stillOpen
            if case .failed(let error) = observation.ending, observation.isRefusal(error) {
                observation.failure = error
            }
        } catch {
            // The only signal of a connection that began in the clear is that of its time.
            let timedOut = observation.probe.starttls != nil && error.code == .aborted
            observation.failure =
                timedOut && !Task.isCancelled ? SocketError(.handshakeTimedOut) : error
        }
        observation.handshake =
            observation.handshake ?? socket.report ?? observation.failure?.report
        observation.tickets = socket.report?.tickets ?? []
    }

    /// Waits for what comes behind the handshake.
    private func settle(_ socket: Socket) async -> Ending {
        let roundTrip = socket.timings.firstFlight ?? .zero
        let bound = min(max(roundTrip * 4, InspectionLimits.settleMin), InspectionLimits.settleMax)
        let awaitsVerdict = socket.report?.clientCertificateRequested ?? false
        return await withTaskGroup(of: Ending.self) { group in
            group.addTask { await drain(socket, isSilent: awaitsVerdict) }
            group.addTask {
                // It ends early only when the other task is done.
                try? await Task.sleep(for: bound)
                return .stillOpen
            }
            let ending = await group.next() ?? .stillOpen
            group.cancelAll()
            return ending
        }
    }

    /// Reads to the end and throws away.
    private func drain(_ socket: Socket, isSilent: Bool) async -> Ending {
        do throws(SocketError) {
            if !isSilent { try await socket.shutdownWrite() }
            var bytesLeft = InspectionLimits.settleBytes
            while bytesLeft > 0, let bytes = try await socket.read(upTo: bytesLeft) {
                bytesLeft -= bytes.count
            }
            return bytesLeft > 0 ? .ended : .stillOpen
        } catch {
            return .failed(error)
        }
    }
}

/// What a probe may cost behind its handshake.
enum InspectionLimits {
    /// The least time to wait for tickets and refusals.
    static let settleMin = Duration.milliseconds(250)
    /// The most time to wait for tickets and refusals.
    static let settleMax = Duration.seconds(2)
    /// Application bytes read and thrown away.
    static let settleBytes = 64 << 10
}

/// How the connection stood when the probe had waited long enough.
enum Ending {
    /// The server ended its side in good order.
    case ended
    /// The server neither ended nor failed.
    case stillOpen
    /// The connection failed.
    case failed(SocketError)
}

/// What was seen of one connection.
struct Observation {
    var probe: Probe
    var handshake: HandshakeReport?
    var tickets: [TicketFacts] = []
    var timings = HandshakeTimings()
    var address: SocketAddress?
    var ending: Ending?
    var failure: SocketError?
    /// Why TLS did not begin.
    var refusal: DialogueFailure?

    init(probe: Probe) { self.probe = probe }

    /// Whether an error behind the handshake means that the server did not accept it.
    func isRefusal(_ error: SocketError) -> Bool {
        if error.tls?.code == .alertReceived { return true }
        // A server that demands a certificate may hang up without a word.
        return error.code == .peerReset && handshake?.clientCertificateRequested == true
    }
}
