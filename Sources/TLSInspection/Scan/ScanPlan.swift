// What to ask next, from what was answered: a scan without its connections. A round is a list of hellos
// that depend on none of each other's answers; the next one depends on them.
//
// Theory of operation
//
// One answer tells more than was asked. Up to TLS 1.2 it shows the suite, and with it the group and the
// signature scheme; in TLS 1.3 suite and group. So each hello narrows one dimension to what is not known
// yet, and puts what is not known in front in the others: a server that follows the client's order then
// tells two or three new things in one connection. What is told is always true; only a narrowed
// dimension is ever concluded to be exhausted.

import Sockets

/// One hello of a scan.
struct ScanProbe: Sendable {
    /// What it is to find out.
    enum Purpose: Hashable, Sendable {
        case version(ProtocolVersion)
        case suites(ProtocolVersion, lane: Int)
        case groups(ProtocolVersion, lane: Int)
        case schemes(lane: Int)
        case schemeSet([UInt16])
        case suiteOrder(ProtocolVersion)
        case groupOrder(isReversed: Bool)
        case alpn(String)
        case behaviour(ScanReport.Behaviour.Kind)
    }

    var purpose: Purpose
    var hello: RawHello
    var framing: RawFraming = .plain
    /// Of what it wants one to be chosen, where the hello has to offer more than that.
    var narrowed: [UInt16]?
}

/// The state of a scan.
struct ScanPlan: Sendable {
    /// An application protocol that nobody speaks.
    static let strangeProtocol = "tlsinspect-no-such-protocol"

    let servername: String?
    let protocols: [String]
    let isFast: Bool
    /// The rounds so far.
    private(set) var round = 0

    /// Whether a version is spoken; a version without an entry was not asked for.
    private(set) var versions: [ProtocolVersion: Bool] = [:]
    private(set) var suites: [ProtocolVersion: Elimination] = [:]
    private(set) var groups: [ProtocolVersion: Elimination] = [:]
    private(set) var schemes = Elimination()
    /// The schemes of TLS 1.3, and those that were asked for one by one.
    private(set) var schemesOfTLS13: [UInt16] = []
    private(set) var firstSuite: [ProtocolVersion: UInt16] = [:]
    private(set) var firstGroup: [Bool: UInt16] = [:]
    private(set) var alpn: [String: RawAnswer] = [:]
    private(set) var behaviours: [ScanReport.Behaviour.Kind: RawAnswer] = [:]
    private(set) var primeBits: [Int] = []
    /// The first whole flight up to TLS 1.2.
    private(set) var oldFlight: ServerFlight?
    /// Answers that were not of what was asked for.
    private(set) var oddities: [String] = []
    /// What got no answer, also when asked again.
    private(set) var unanswered = 0
    private var schemeQueue = CodePoints.schemeSetsOfTLS13
    private var asked: Set<ScanProbe.Purpose> = []

    /// Makes the state of a scan that has not begun.
    init(servername: String?, protocols: [String], isFast: Bool) {
        self.servername = servername
        self.protocols = protocols
        self.isFast = isFast
    }

    /// The versions that are spoken, oldest first.
    var spoken: [ProtocolVersion] { versions.filter(\.value).keys.sorted() }

    // MARK: Asking

    /// The hellos of the next round; none when all is known.
    mutating func nextRound() -> [ScanProbe] {
        round += 1
        guard round > 1 else {
            return CodePoints.versions.map { ScanProbe(purpose: .version($0), hello: hello($0)) }
        }
        var probes: [ScanProbe] = []
        for version in spoken {
            begin(version)
            probes += suiteProbes(version)
        }
        for version in spoken where version >= .tls12 { probes += groupProbes(version) }
        probes += schemeProbes()
        probes += once(behaviourProbes() + alpnProbes() + orderProbes())
        return probes
    }

    private mutating func once(_ probes: [ScanProbe]) -> [ScanProbe] {
        probes.filter { asked.insert($0.purpose).inserted }
    }

    private mutating func begin(_ version: ProtocolVersion) {
        let values = CodePoints.suites(of: version)
        let lanes =
            isFast ? (values.count + 7) / 8 : version == .tls13 ? 1 : version == .tls12 ? 5 : 3
        suites[version, default: Elimination()].begin(values, lanes: lanes)
        guard version >= .tls12 else { return }
        let curves = CodePoints.groups(of: version)
        // In TLS 1.2 the choices of suites tell most of them on the side.
        let groupLanes = isFast ? curves.count : version == .tls13 ? 3 : 1
        if version == .tls13 || isFast || round > 2 {
            groups[version, default: Elimination()].begin(curves, lanes: groupLanes)
        }
        if version == .tls12, isFast || round > 2 {
            schemes.begin(CodePoints.schemes, lanes: isFast ? CodePoints.schemes.count : 2)
        }
    }

    private func suiteProbes(_ version: ProtocolVersion) -> [ScanProbe] {
        guard let state = suites[version] else { return [] }
        return state.openLanes.map { lane in
            var offer = hello(version, turn: lane)
            offer.suites = state.lanes[lane].values
            return ScanProbe(purpose: .suites(version, lane: lane), hello: offer)
        }
    }

    private func groupProbes(_ version: ProtocolVersion) -> [ScanProbe] {
        guard let state = groups[version] else { return [] }
        let suites = version == .tls12 ? curveSuites : nil
        guard suites?.isEmpty != true else { return [] }
        let curve = version == .tls12 ? certificateCurve : nil
        return state.openLanes.map { lane in
            var offer = hello(version, turn: lane)
            offer.suites = suites ?? offer.suites
            offer.groups = state.lanes[lane].values
            // Up to TLS 1.2 a certificate counts only if its own curve is offered, too.
            if let curve, !offer.groups.contains(curve) { offer.groups.append(curve) }
            let purpose = ScanProbe.Purpose.groups(version, lane: lane)
            return ScanProbe(purpose: purpose, hello: offer, narrowed: state.lanes[lane].values)
        }
    }

    /// The group of the certificate's key, if that is on a curve.
    private var certificateCurve: UInt16? {
        guard let der = oldFlight?.certificates.first, let leaf = try? Certificate(der: der) else {
            return nil
        }
        let curves: [String: UInt16] = ["P-256": 0x0017, "P-384": 0x0018, "P-521": 0x0019]
        return leaf.publicKey.curve.flatMap { curves[$0] }
    }

    /// The suites of TLS 1.2 that a group decides over.
    private var curveSuites: [UInt16] {
        known(.tls12).filter { if case .curve = Suite($0).exchange { true } else { false } }
    }

    /// The suites of TLS 1.2 that a signature scheme decides over.
    private var signedSuites: [UInt16] {
        known(.tls12).filter {
            switch Suite($0).exchange {
            case .curve(let isSigned), .field(let isSigned): isSigned
            case .hidden: false
            }
        }
    }

    private func known(_ version: ProtocolVersion) -> [UInt16] { suites[version]?.found ?? [] }

    private mutating func schemeProbes() -> [ScanProbe] {
        var probes: [ScanProbe] = []
        if versions[.tls12] == true, !signedSuites.isEmpty {
            probes += schemes.openLanes.map { lane in
                var offer = hello(.tls12, turn: lane)
                offer.suites = signedSuites
                offer.schemes = schemes.lanes[lane].values
                return ScanProbe(purpose: .schemes(lane: lane), hello: offer)
            }
        }
        if versions[.tls13] == true {
            let sets = isFast && round == 2 ? schemeQueue.flatMap { $0.map { [$0] } } : schemeQueue
            schemeQueue = []
            probes += sets.enumerated().map { place, set in
                var offer = hello(.tls13, turn: place)
                offer.schemes = set
                return ScanProbe(purpose: .schemeSet(set), hello: offer)
            }
        }
        return probes
    }

    private func behaviourProbes() -> [ScanProbe] {
        guard let newest = spoken.last, newest >= .tls10 else { return [] }
        var usual = hello(newest)
        if newest == .tls13 { usual.keyShares = [NamedGroup.x25519.rawValue] }
        if newest == .tls13, versions[.tls12] == true {
            usual.versions = [.tls12, .tls13]
            usual.suites += known(.tls12)
        }
        var greased = usual
        greased.hasGrease = true
        var large = usual
        large.size = 20000
        var probes = [
            ScanProbe(purpose: .behaviour(.splitHello), hello: usual, framing: .halves),
            ScanProbe(purpose: .behaviour(.smallRecords), hello: usual, framing: .records(of: 1)),
            ScanProbe(purpose: .behaviour(.grease), hello: greased),
            ScanProbe(purpose: .behaviour(.largeHello), hello: large),
        ]
        if spoken.count > 1, let older = spoken.dropLast().last {
            var fallback = hello(older)
            fallback.isFallback = true
            probes.append(ScanProbe(purpose: .behaviour(.fallback), hello: fallback))
        }
        return probes
    }

    /// The version in which ALPN is asked for; of TLS 1.3 the answer is encrypted.
    var alpnVersion: ProtocolVersion? { spoken.last { $0 < .tls13 && $0 > .ssl3 } }

    private func alpnProbes() -> [ScanProbe] {
        guard let newest = spoken.last, newest > .ssl3 else { return [] }
        return (protocols + [ScanPlan.strangeProtocol]).map { name in
            var offer = hello(alpnVersion ?? newest)
            offer.alpn = [name]
            return ScanProbe(purpose: .alpn(name), hello: offer)
        }
    }

    /// Whether enough is known to ask for an order.
    private func isSettled(_ state: Elimination) -> Bool {
        state.found.count > 1 && (state.isDone || isFast && round == 3)
    }

    private func orderProbes() -> [ScanProbe] {
        var probes: [ScanProbe] = []
        for version in spoken {
            guard let state = suites[version], isSettled(state) else { continue }
            // The first was chosen of all: put last, it is chosen again by the server's order only.
            var offer = hello(version)
            offer.suites = state.found.reversed()
            probes.append(ScanProbe(purpose: .suiteOrder(version), hello: offer))
        }
        if let state = groups[.tls13], isSettled(state) {
            for isReversed in [false, true] {
                var offer = hello(.tls13)
                offer.groups = isReversed ? state.found.reversed() : state.found
                let purpose = ScanProbe.Purpose.groupOrder(isReversed: isReversed)
                probes.append(ScanProbe(purpose: purpose, hello: offer))
            }
        }
        return probes
    }

    /// A hello of one version with all there is to offer, what is not known in front.
    ///
    /// - Parameters:
    ///   - version: The version.
    ///   - turn: Turns what is not known round by so many places, so that hellos of one round learn
    ///     different things.
    /// - Returns: The hello.
    private func hello(_ version: ProtocolVersion, turn: Int = 0) -> RawHello {
        let all = CodePoints.suites(of: version)
        var offer = RawHello(versions: [version], suites: offered(all, suites[version], turn))
        guard version > .ssl3 else { return offer }
        offer.servername = servername
        offer.groups = offered(CodePoints.groups(of: version), groups[version], turn)
        if version >= .tls12 { offer.schemes = offered(CodePoints.schemes, schemes, turn) }
        // Without a share the server has to say which group it wants.
        if version == .tls13, round == 1 { offer.keyShares = [NamedGroup.x25519.rawValue] }
        return offer
    }

    private func offered(_ all: [UInt16], _ state: Elimination?, _ turn: Int) -> [UInt16] {
        guard let state else { return all }
        let unknown =
            state.lanes.isEmpty ? all.filter { !state.found.contains($0) } : state.unknown
        guard !unknown.isEmpty else { return state.found.isEmpty ? all : state.found }
        let start = turn % unknown.count
        return unknown[start...] + unknown[..<start] + state.found
    }
}

// MARK: Answers

extension ScanPlan {
    /// Takes the answer to a hello.
    mutating func take(_ answer: RawAnswer, to probe: ScanProbe) {
        let division = division
        var choice: ServerFlight?
        if case .flight(let flight) = answer, probe.hello.versions.contains(flight.version) {
            choice = flight
            credit(flight, probe.hello)
        }
        switch answer {
        case .silence, .clear: unanswered += 1
        default: break
        }
        switch probe.purpose {
        case .version(let version): versions[version] = choice != nil
        case .suites(let version, let lane):
            let isNew = choice.map { probe.hello.suites.contains($0.suite) } ?? false
            suites[version, default: Elimination()].settle(lane, isNew, division)
        case .groups(let version, let lane):
            let isNew = choice?.group.map((probe.narrowed ?? probe.hello.groups).contains) ?? false
            groups[version, default: Elimination()].settle(lane, isNew, division)
        case .schemes(let lane):
            let isNew = choice?.scheme.map(probe.hello.schemes.contains) ?? false
            schemes.settle(lane, isNew, division)
        case .schemeSet(let set):
            guard choice != nil else { return }
            if set.count == 1 {
                schemesOfTLS13 += set
            } else {
                schemeQueue += set.map { [$0] }
            }
        case .suiteOrder(let version): firstSuite[version] = choice?.suite
        case .groupOrder(let isReversed): firstGroup[isReversed] = choice?.group
        case .alpn(let name): alpn[name] = answer
        case .behaviour(let kind): behaviours[kind] = answer
        }
    }

    /// Notes all that a choice tells.
    private mutating func credit(_ flight: ServerFlight, _ hello: RawHello) {
        let version = flight.version
        if hello.suites.contains(flight.suite) {
            suites[version, default: Elimination()].credit(flight.suite)
        } else {
            oddities.append("chose suite 0x\(wireForm(flight.suite)), which was not offered")
        }
        if let group = flight.group, version >= .tls12 {
            if hello.groups.contains(group) {
                groups[version, default: Elimination()].credit(group)
            } else {
                oddities.append("chose group 0x\(wireForm(group)), which was not offered")
            }
        }
        if let scheme = flight.scheme, hello.schemes.contains(scheme) { schemes.credit(scheme) }
        if let bits = flight.primeBits { primeBits.append(bits) }
        if version < .tls13, version > oldFlight?.version ?? .ssl3 { oldFlight = flight }
    }

    /// Into how many a lane is divided that has chosen: more when rounds run short.
    private var division: Int {
        if isFast { return .max }
        return round >= 8 ? 4 : round >= 7 ? 2 : 1
    }
}
