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
        /// By a whole handshake: in TLS 1.3 the answer is encrypted.
        case encryptedALPN(String)
        case behaviour(ScanReport.Behaviour.Kind)
        /// Several at once, which are told apart only when that fails.
        case behaviours

        /// What stays unknown without an answer.
        var subject: String {
            switch self {
            case .version(let version): "versions.\(shortName(version))"
            case .suites(let version, _): "suites.\(shortName(version))"
            case .suiteOrder(let version): "preference.\(shortName(version))"
            case .groups(let version, _): "groups.\(shortName(version))"
            case .groupOrder: "preference.groups"
            case .schemes: "signature_schemes.TLS1.2"
            case .schemeSet: "signature_schemes.TLS1.3"
            case .alpn, .encryptedALPN: "alpn"
            case .behaviour(let kind): "behaviours.\(kind.rawValue)"
            case .behaviours: "behaviours"
            }
        }
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
    /// What was chosen of all the suites in the usual order, and the other way round.
    private(set) var chosenSuite: [ProtocolVersion: UInt16] = [:]
    private(set) var firstSuite: [ProtocolVersion: UInt16] = [:]
    private(set) var firstGroup: [Bool: UInt16] = [:]
    private(set) var alpn: [String: RawAnswer] = [:]
    private var encryptedALPN: [String: RawAnswer] = [:]
    private(set) var behaviours: [ScanReport.Behaviour.Kind: RawAnswer] = [:]
    private(set) var primeBits: [Int] = []
    /// The first whole flight up to TLS 1.2.
    private(set) var oldFlight: ServerFlight?
    /// Answers that were not of what was asked for.
    private(set) var oddities: [String] = []
    /// What got no answer, also when asked again.
    private(set) var unanswered = 0
    /// What those hellos asked for.
    private(set) var unheard: Set<String> = []
    /// Whether refusals come as alerts: then a closed connection is no answer.
    private(set) var hasAlerted = false
    /// Suites of TLS 1.3 that were tried together with groups, and whether that told nothing.
    private var ridden: [UInt16: Bool] = [:]
    private var areBehavioursApart = false
    /// Signature schemes of TLS 1.3 that are asked for alone, as nothing was told on the side.
    private var apart: Set<UInt16> = []
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
    ///
    /// - Parameter limit: How many hellos there should be. What goes on from earlier answers is asked
    ///   all the same; what stands alone waits for a round with room.
    /// - Returns: The hellos.
    mutating func nextRound(limit: Int = ScanLimits.probesInRound) -> [ScanProbe] {
        round += 1
        if isFast { return fastRound() }
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
        let alone = (orderProbes() + alpnProbes() + behaviourProbes())
            .filter { !asked.contains($0.purpose) }
            .prefix(max(limit - probes.count, probes.isEmpty ? 1 : 0))
        for probe in alone { asked.insert(probe.purpose) }
        return probes + alone
    }

    /// At least so many hellos may be wanted in the next round, when this one's answers are out.
    var forecast: Int {
        if round == 1 { return isFast ? ScanLimits.forecast : ScanLimits.probesInRound }
        guard !isFast else { return 0 }
        let states = Array(suites.values) + groups.values + [schemes]
        let lanes = states.map(\.openLanes.count).reduce(0, +)
        let alone = (orderProbes() + alpnProbes() + behaviourProbes())
            .filter { !asked.contains($0.purpose) }
        // Towards the end most of what is asked for is refused.
        let begun = round == 2 ? 1 : 0
        return begun + (round < 5 ? lanes : (2 * lanes + 2) / 3) + min(alone.count, 4)
    }

    /// All that can be asked without an answer, and then what those answers have left open.
    private mutating func fastRound() -> [ScanProbe] {
        guard round < 3 else { return [] }
        var probes: [ScanProbe] = []
        let versions = round == 1 ? CodePoints.versions : spoken
        for version in versions {
            begin(version)
            if round == 1 {
                probes.append(ScanProbe(purpose: .version(version), hello: hello(version)))
            }
            probes += suiteProbes(version) + orderProbes(version)
        }
        for version in versions where version >= .tls12 { probes += groupProbes(version) }
        probes += schemeProbes()
        probes += round == 1 ? fastALPNProbes() : alpnProbes() + behaviourProbes()
        return probes.filter { probe in
            switch probe.purpose {
            case .suites, .groups, .schemes, .schemeSet: true
            default: asked.insert(probe.purpose).inserted
            }
        }
    }

    private func fastALPNProbes() -> [ScanProbe] {
        (protocols + [ScanPlan.strangeProtocol]).flatMap { name in
            var offer = hello(.tls12)
            offer.alpn = [name]
            return [
                ScanProbe(purpose: .encryptedALPN(name), hello: offer),
                ScanProbe(purpose: .alpn(name), hello: offer),
            ]
        }
    }

    private mutating func begin(_ version: ProtocolVersion) {
        let values = CodePoints.suites(of: version)
        if isFast {
            let size = version == .tls13 ? 1 : version == .tls12 ? 8 : 16
            suites[version, default: Elimination()].begin(values, size: size)
        } else if version == .tls13 {
            let most = Array(values.prefix(3))
            suites[version, default: Elimination()].begin(Array(values.dropFirst(3)), lanes: 1)
            let lost = round > 3 ? most.filter { ridden[$0] != false } : []
            suites[version]?.add(lost)
            for suite in lost { ridden[suite] = false }
        } else {
            let lanes = version == .tls12 ? 8 : 3
            suites[version, default: Elimination()].begin(values, lanes: lanes)
        }
        guard version >= .tls12 else { return }
        let curves = CodePoints.groups(of: version)
        // In TLS 1.2 the choices of suites tell most of them on the side.
        // A server with an order of its own does not.
        let decides = chosenSuite[.tls12] == firstSuite[.tls12]
        let groupLanes = isFast ? curves.count : version == .tls13 || decides ? 2 : 1
        if version == .tls13 || round > (isFast ? 1 : 2) {
            groups[version, default: Elimination()].begin(curves, lanes: groupLanes)
        }
        if version == .tls12, round > (isFast ? 1 : 2) {
            schemes.begin(
                CodePoints.schemes,
                lanes: isFast ? CodePoints.schemes.count : decides ? 3 : 2
            )
        }
    }

    private func suiteProbes(_ version: ProtocolVersion) -> [ScanProbe] {
        guard let state = suites[version] else { return [] }
        return state.openLanes.map { lane in
            var offer = hello(version, turn: lane)
            offer.suites = state.lanes[lane].values
            // A choice of suite tells the protocol, too; a refusal says which of them it refuses.
            if !isFast, round == 2, version == alpnVersion, protocols.indices.contains(lane) {
                offer.alpn = [protocols[lane]]
            }
            return ScanProbe(purpose: .suites(version, lane: lane), hello: offer)
        }
    }

    private mutating func groupProbes(_ version: ProtocolVersion) -> [ScanProbe] {
        guard let state = groups[version] else { return [] }
        // The common suites of TLS 1.3 are asked for on the side, one a lane.
        var riders =
            version == .tls13 && !isFast && round < 4 ? CodePoints.suitesOfTLS13.prefix(3) : []
        riders.removeAll { known(.tls13).contains($0) || ridden[$0] != nil }
        let suites = version == .tls12 ? curveSuites : nil
        guard suites?.isEmpty != true else { return [] }
        let curve = version == .tls12 ? certificateCurve : nil
        return state.openLanes.map { lane in
            var offer = hello(version, turn: lane)
            offer.suites = suites ?? offer.suites
            offer.groups = state.lanes[lane].values
            // Up to TLS 1.2 a certificate counts only if its own curve is offered, too.
            if let curve, !offer.groups.contains(curve) { offer.groups.append(curve) }
            if let rider = riders.popFirst() {
                offer.suites = [rider]
                ridden[rider] = true
            } else if version == .tls13, !isFast, round > 2,
                let place = schemeQueue.firstIndex(
                    where: { $0.count == 1 && apart.isDisjoint(with: $0) }
                )
            {
                offer.schemes = schemeQueue.remove(at: place)
            }
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
        if isFast, round == 1 { schemeQueue = schemeQueue.flatMap { $0.map { [$0] } } }
        if versions[.tls13] == true || isFast && round == 1 {
            if round == 2, let likely = likelySet {
                // It goes along with the question for the order of groups; the others are seldom there.
                schemeQueue = [schemeQueue.filter { $0 != likely }.flatMap(\.self)]
            }
            let sets = schemeQueue
            schemeQueue = []
            probes += sets.enumerated().map { place, set in
                var offer = hello(.tls13, turn: place)
                offer.schemes = set
                return ScanProbe(purpose: .schemeSet(set), hello: offer)
            }
        }
        return probes
    }

    /// The schemes of TLS 1.3 that a server with this key has, by its signature up to TLS 1.2.
    private var likelySet: [UInt16]? {
        guard !isFast, let scheme = oldFlight?.scheme else { return nil }
        let isECDSA = [0x0203, 0x0303, 0x0403, 0x0503, 0x0603].contains(scheme)
        let isRSA = [0x0804, 0x0805, 0x0806].contains(scheme) || scheme & 0xff == 1
        return isECDSA
            ? CodePoints.schemeSetsOfTLS13[0] : isRSA ? CodePoints.schemeSetsOfTLS13[1] : nil
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
            ScanProbe(purpose: .behaviour(.smallRecords), hello: usual, framing: .records(of: 1))
        ]
        if isFast || areBehavioursApart {
            probes += [
                ScanProbe(purpose: .behaviour(.splitHello), hello: usual, framing: .halves),
                ScanProbe(purpose: .behaviour(.grease), hello: greased),
                ScanProbe(purpose: .behaviour(.largeHello), hello: large),
            ]
        } else {
            large.hasGrease = true
            probes.append(ScanProbe(purpose: .behaviours, hello: large, framing: .halves))
        }
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
        if isFast, versions[.tls12] == true || alpnVersion == nil { return [] }
        let rides = isFast || alpnVersion == nil || round > 2 ? 0 : suites[newest]?.openLanes.count
        return (protocols.dropFirst(rides ?? 0) + [ScanPlan.strangeProtocol])
            .filter { alpn[$0] == nil || isFast }
            .map { name in
                var offer = hello(alpnVersion ?? newest)
                offer.alpn = [name]
                let isEncrypted = alpnVersion == nil
                return ScanProbe(
                    purpose: isEncrypted ? .encryptedALPN(name) : .alpn(name),
                    hello: offer
                )
            }
    }

    /// What was answered to each protocol, by who can read it.
    func protocolAnswer(_ name: String) -> RawAnswer? {
        alpnVersion == nil ? encryptedALPN[name] : alpn[name]
    }

    private func orderProbes() -> [ScanProbe] { spoken.flatMap(orderProbes) }

    /// All there is the other way round, what was chosen before at the end: chosen again only by an
    /// order of the server's own.
    private func orderProbes(_ version: ProtocolVersion) -> [ScanProbe] {
        guard round == (isFast ? 1 : 2) || !isFast else { return [] }
        var offer = hello(version)
        offer.suites = CodePoints.suites(of: version).reversed()
        if version == .tls12 { offer.schemes.reverse() }
        var probes = [ScanProbe(purpose: .suiteOrder(version), hello: offer)]
        guard version == .tls13 else { return probes }
        for isReversed in [false, true] {
            var offer = hello(.tls13)
            offer.keyShares = []
            let all = CodePoints.groups(of: .tls13)
            offer.groups = isReversed ? all.reversed() : all
            if !isReversed, let likelySet, apart.isDisjoint(with: likelySet) {
                offer.schemes = likelySet
            }
            let purpose = ScanProbe.Purpose.groupOrder(isReversed: isReversed)
            probes.append(ScanProbe(purpose: purpose, hello: offer))
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
        if version == .tls13, round == 1, !isFast { offer.keyShares = [NamedGroup.x25519.rawValue] }
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
    /// Whether an answer tells nothing of what was asked.
    func isUnheard(_ answer: RawAnswer) -> Bool {
        switch answer {
        case .silence, .clear, .unconnected: true
        case .closed: hasAlerted
        default: false
        }
    }

    /// Takes the answers of a round.
    mutating func take(_ answers: [RawAnswer], to probes: [ScanProbe]) {
        hasAlerted =
            hasAlerted || answers.contains { if case .alert = $0 { true } else { false } }
        for (answer, probe) in zip(answers, probes) { take(answer, to: probe) }
    }

    /// Takes the answer to a hello.
    mutating func take(_ answer: RawAnswer, to probe: ScanProbe) {
        var choice: ServerFlight?
        if case .flight(let flight) = answer, probe.hello.versions.contains(flight.version) {
            choice = flight
            if case .encryptedALPN = probe.purpose {} else { credit(flight, probe.hello) }
        }
        if isUnheard(answer) {
            unanswered += 1
            unheard.insert(probe.purpose.subject)
        }
        switch probe.purpose {
        case .version(let version):
            if !isUnheard(answer) { versions[version] = choice != nil }
            chosenSuite[version] = choice?.suite
        case .suites(let version, let lane): takeSuite(choice, answer, probe, version, lane)
        case .groups(let version, let lane):
            let isNew = choice?.group.map((probe.narrowed ?? probe.hello.groups).contains) ?? false
            if version == .tls13, let rider = probe.hello.suites.first, ridden[rider] == true,
                probe.hello.suites.count == 1
            {
                // Without a choice it is the suite or the groups: both are asked for again.
                guard isNew else { return }
                ridden[rider] = false
            }
            if version == .tls13, probe.hello.schemes.count == 1 {
                guard isNew else {
                    apart.formUnion(probe.hello.schemes)
                    return schemeQueue.append(probe.hello.schemes)
                }
                schemesOfTLS13 += probe.hello.schemes
            }
            groups[version, default: Elimination()].settle(lane, isNew, division)
        case .schemes(let lane):
            let isNew = choice?.scheme.map(probe.hello.schemes.contains) ?? false
            schemes.settle(lane, isNew, division)
        case .schemeSet(let set):
            guard choice != nil else { return }
            let parts = CodePoints.schemeSetsOfTLS13.filter { Set($0).isStrictSubset(of: set) }
            if set.count == 1 {
                schemesOfTLS13 += set
            } else if !parts.isEmpty {
                schemeQueue += parts
            } else {
                schemeQueue += set.map { [$0] }
            }
        case .suiteOrder(let version): firstSuite[version] = choice?.suite
        case .groupOrder(let isReversed):
            firstGroup[isReversed] = choice?.group
            let set = probe.hello.schemes
            guard CodePoints.schemeSetsOfTLS13.contains(set) else { return }
            if choice != nil {
                schemeQueue += set.map { [$0] }
            } else {
                asked.remove(probe.purpose)
                apart.formUnion(set)
                schemeQueue.append(set)
            }
        case .alpn(let name): alpn[name] = answer
        case .encryptedALPN(let name): encryptedALPN[name] = answer
        case .behaviour(let kind):
            if case .unconnected = answer { return }
            behaviours[kind] = answer
        case .behaviours:
            guard answer.isFlight else { return areBehavioursApart = true }
            for kind in [ScanReport.Behaviour.Kind.splitHello, .grease, .largeHello] {
                behaviours[kind] = answer
            }
        }
    }

    private mutating func takeSuite(
        _ choice: ServerFlight?,
        _ answer: RawAnswer,
        _ probe: ScanProbe,
        _ version: ProtocolVersion,
        _ lane: Int
    ) {
        if let name = probe.hello.alpn.first {
            let isRefused = answer == .alert(.noApplicationProtocol)
            if choice != nil || isRefused { alpn[name] = answer }
            // The protocol was refused, and nothing is said of the suites.
            if isRefused { return }
        }
        let isNew = choice.map { probe.hello.suites.contains($0.suite) } ?? false
        suites[version, default: Elimination()].settle(lane, isNew, division)
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
