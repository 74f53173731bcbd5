// Carries out a scan: round for round the hellos that the plan wants, on as many connections as are
// allowed, to one address, and a report at the end.

public import Sockets

/// What to scan, and how gently.
public struct ScanOptions: Hashable, Sendable {
    /// Whom to ask for, and the port.
    public var target: SocketAddress
    /// Where to connect to; nil is the target.
    public var connect: SocketAddress?
    /// What is sent as servername; the target's name by default.
    public var servername: Probe.Servername = .target
    /// Application protocols to ask for, each alone.
    public var alpn = ["h2", "http/1.1"]
    /// The protocol to begin with, which is asked for TLS; nil, the default, is TLS at once.
    public var starttls: StartTLSProtocol?
    /// Which addresses of a name to use; both families by default.
    public var addressFamily: SocketAddressFamily = .any
    /// Time for each connection and its answer; 10 s by default, less when answers come fast.
    public var timeout: Duration = .seconds(10)
    /// The least time for an answer, however fast others came.
    package var patience = ScanLimits.patience
    /// Connections at once; 32 by default, with those that are opened ahead of their question.
    public var jobs = 32
    /// Connections in a second; 200 by default, nil is no limit.
    public var rate: Double? = 200
    /// Connections that may be opened before ``rate`` counts; 80 by default, as much as one usual scan.
    public var burst = 80
    /// Whether more connections are spent on fewer rounds.
    public var isFast = false
    /// What the server should speak; nil judges by findings alone.
    public var policy: ScanPolicy?

    /// Makes options with the defaults.
    ///
    /// - Parameter target: Whom to ask for.
    public init(_ target: SocketAddress) { self.target = target }

    /// The probe that makes one handshake with these options.
    var probe: Probe {
        Probe(target) {
            $0.connect = connect
            $0.servername = servername
            $0.starttls = starttls
            $0.addressFamily = addressFamily
            $0.timeout = timeout
        }
    }
}

extension Inspector {
    /// Finds out what a server takes: versions, suites, groups, signature schemes, protocols, behaviours.
    ///
    /// Never fails: what went wrong stands in the report. Cancelling the task ends the scan with what is
    /// known by then.
    ///
    /// - Parameters:
    ///   - options: What to scan.
    ///   - progress: Is told how many connections have been opened, and the round.
    /// - Returns: The report.
    public func scan(
        _ options: ScanOptions,
        progress: (_ connections: Int, _ round: Int) -> Void = { _, _ in }
    ) async -> ScanReport {
        let clock = ContinuousClock()
        let start = clock.now
        var scan = ScanRun(options)
        await scan.run(at: now, progress: progress)
        var report = scan.report(failOn: failOn)
        report.cost.elapsed = milliseconds(clock.now - start)
        return report
    }
}

/// A scan under way.
struct ScanRun {
    let options: ScanOptions
    var plan: ScanPlan
    var pacer: Pacer
    var route: RawRoute
    var address: SocketAddress?
    var connections = 0
    /// Round trips that had to wait for each other.
    var roundTrips = 0
    /// Connections that were opened ahead, oldest first.
    var spares: [RawLine] = []
    /// The answers of the first round, should all of them be failures.
    var firstAnswers: [RawAnswer] = []

    init(_ options: ScanOptions) {
        self.options = options
        plan = ScanPlan(
            servername: options.probe.sentServername,
            protocols: options.alpn,
            isFast: options.isFast
        )
        pacer = Pacer(jobs: options.jobs, rate: options.rate, burst: options.burst)
        route = RawRoute(
            address: options.connect ?? options.target,
            family: options.addressFamily,
            timeout: options.timeout,
            upgrade: options.probe.upgrade
        )
    }

    mutating func run(at now: UnixTime, progress: (Int, Int) -> Void) async {
        while plan.round < ScanLimits.rounds, !Task.isCancelled {
            let probes = plan.nextRound(
                limit: spares.isEmpty ? ScanLimits.probesInRound : spares.count
            )
            guard !probes.isEmpty else { break }
            var replies = await ask(probes, at: now, progress)
            if plan.round == 1 {
                firstAnswers = replies.map(\.answer)
                pin(replies)
            }
            if plan.round > 1 || firstAnswers.contains(where: \.isFlight) {
                await askAgain(probes, &replies, at: now, progress)
            }
            plan.take(replies.map(\.answer), to: probes)
            if plan.spoken.isEmpty { break }
        }
        dropSpares()
    }

    private mutating func dropSpares() {
        for line in spares { line.drop() }
        spares = []
    }

    /// Asks a round's questions, on the connections that are ready and then on new ones, and opens some
    /// for the next round meanwhile.
    ///
    /// The oldest connection is always asked first: a server that serves one after the other would
    /// otherwise wait for the hello of one that is kept for later.
    private mutating func ask(
        _ probes: [ScanProbe],
        at now: UnixTime,
        _ progress: (Int, Int) -> Void
    ) async -> [RawReply] {
        var run = self
        var replies = [RawReply?](repeating: nil, count: probes.count)
        var fresh = 0
        await withTaskGroup(of: (Int, RawReply)?.self) { group in
            var running = 0
            var first: RawLine?
            for (place, probe) in probes.enumerated() {
                if case .encryptedALPN = probe.purpose { run.dropSpares() }
                if run.spares.isEmpty, running >= run.pacer.jobs,
                    case let (place, reply)?? = await group.next()
                {
                    replies[place] = reply
                    running -= 1
                }
                running += 1
                if case .encryptedALPN = probe.purpose {
                    await run.pacer.wait()
                    (fresh, run.connections) = (fresh + 1, run.connections + 1)
                    let (options, route) = (run.options, run.route)
                    group.addTask {
                        (place, await Inspector(now: now).alpnReply(probe, options, route))
                    }
                    continue
                }
                if run.spares.isEmpty {
                    await run.pacer.wait()
                    (fresh, run.connections) = (fresh + 1, run.connections + 1)
                    run.spares.append(run.route.open())
                }
                let line = run.spares.removeFirst()
                first = first ?? line
                group.addTask { (place, await line.ask(probe.hello, probe.framing)) }
                progress(run.connections, run.plan.round)
            }
            let leftover = run.spares.count
            await run.openSpares(beside: running, first)
            let hesitation = run.route.timeout / 4
            if leftover > 0 {
                group.addTask {
                    try? await Task.sleep(for: hesitation)
                    return nil
                }
            }
            while running > 0, let next = await group.next() {
                if let (place, reply) = next {
                    replies[place] = reply
                    running -= 1
                } else {
                    // Perhaps it serves one after the other, and waits for one that has no question.
                    run.dropSpares()
                }
            }
            group.cancelAll()
        }
        let waves = (fresh + run.pacer.jobs - 1) / run.pacer.jobs
        run.roundTrips += fresh == 0 ? 1 : 2 * waves
        self = run
        progress(connections, plan.round)
        return replies.compactMap(\.self)
    }

    /// Opens what the next round is likely to need, as far as jobs and rate allow.
    private mutating func openSpares(beside running: Int, _ first: RawLine?) async {
        if plan.round == 1 {
            // Not to a door that is closed; and all to the address that opened.
            guard let address = await first?.openedAddress else { return }
            route.address = address
        }
        let room = min(pacer.jobs - running, plan.forecast) - spares.count
        for _ in 0..<max(0, room) {
            guard pacer.mayStart() else { return }
            connections += 1
            spares.append(route.open())
        }
    }

    /// What met silence or a closed door, though others got in, is tried once more.
    private mutating func askAgain(
        _ probes: [ScanProbe],
        _ replies: inout [RawReply],
        at now: UnixTime,
        _ progress: (Int, Int) -> Void
    ) async {
        let refusals = replies.contains { if case .alert = $0.answer { true } else { false } }
        let places = replies.indices.filter {
            plan.isUnheard(replies[$0].answer) || refusals && replies[$0].answer == .closed
        }
        guard !places.isEmpty else { return }
        let again = await ask(places.map { probes[$0] }, at: now, progress)
        for (place, reply) in zip(places, again) { replies[place] = reply }
    }

    /// Stays with the address that answered, and does not wait much longer than it took.
    private mutating func pin(_ replies: [RawReply]) {
        address = replies.compactMap(\.address).first
        guard
            let reply = replies.first(where: { if case .flight = $0.answer { true } else { false } }
            )
        else { return }
        if let answered = reply.address {
            if route.address != answered { dropSpares() }
            (route.address, address) = (answered, answered)
        }
        let slow = (reply.timings.connect ?? .zero) + (reply.answerTime ?? .zero)
        route.timeout = min(route.timeout, max(options.patience, slow * 10))
    }
}

/// What a scan may cost.
enum ScanLimits {
    /// The most rounds, whatever a server answers.
    static let rounds = 200
    /// The hellos of a round, unless more depend on answers.
    static let probesInRound = 16
    /// The connections that a fast scan opens for its second wave, while it waits for the first.
    static let forecast = 160
    /// See ``ScanOptions/patience``.
    static let patience = Duration.seconds(3)
}

extension Inspector {
    /// Asks for a protocol by a whole handshake: in TLS 1.3 the answer is encrypted.
    func alpnReply(
        _ probe: ScanProbe,
        _ options: ScanOptions,
        _ route: RawRoute
    ) async -> RawReply {
        var handshake = options.probe
        handshake.connect = route.address
        handshake.alpn = probe.hello.alpn
        handshake.timeout = route.timeout
        let report = await glance(handshake)
        var answer = RawAnswer.silence
        if let negotiated = report.negotiated, report.error == nil {
            var flight = ServerFlight(version: .tls13, suite: 0)
            flight.alpn = negotiated.alpn
            answer = .flight(flight)
        } else if let alert = report.error?.alert, report.error?.sent == false {
            answer = .alert(Alert(UInt8(clamping: alert.number)))
        } else if report.imposesProtocol {
            var flight = ServerFlight(version: .tls13, suite: 0)
            flight.alpn = "?"
            answer = .flight(flight)
        }
        return RawReply(answer: answer)
    }
}

extension InspectionReport {
    /// Whether the server chose a protocol that was not offered.
    var imposesProtocol: Bool {
        guard let sent, let error, error.code == "protocol_violation" else { return false }
        if let chosen = negotiated?.alpn { return !sent.alpn.contains(chosen) }
        return error.message.contains("application protocol that was not offered")
    }
}
