// Targets `client` and `server`. Input: a byte of settings, a byte for the size of the pieces, then
// operations on the records that a sound peer sends to the engine: pass on, alter, cut, drop,
// repeat, exchange, split, put something of the script's own between them; what the peer does after
// the handshake; and what the engine's owner does meanwhile. Behind the script everything is passed
// on, and then the transport ends.
//
// Passes when the engine ends by itself, blames the peer, and has given only what the peer sent: all
// of it, if it says that the stream ended well.

import TLSEngine
import TLSTestKit

func fuzzEngine(_ role: TLSRole, _ input: [UInt8], _ materials: Materials) throws {
    var script = ScriptReader(input)
    let setting = EngineSetting(role, number: Int(script.byte()))
    let size = script.byte()
    guard let made = try EngineSetting.contexts(setting, materials),
        let peer = FuzzPeer(role == .client ? .server : .client, made.peer)
    else { return require(false, "a peer can be made") }
    var wire = FuzzWire(
        EngineUnderTest(
            try TLSEngine(made.engine, remoteName: role == .client ? "localhost" : nil)
        ),
        peer,
        pieces: size == 0 ? .max : Int(size)
    )
    wire.begin()
    var operations = 0
    while !script.isAtEnd, operations < 256, !wire.engine.isDone {
        wire.operate(&script)
        operations += 1
    }
    wire.finish()
}

/// What both sides are set to.
struct EngineSetting: Hashable {
    let role: TLSRole
    let versions: ClosedRange<ProtocolVersion>
    let retries: Bool
    let authenticatesClient: Bool
    let usesALPN: Bool
    let usesRSA: Bool

    init(_ role: TLSRole, number: Int) {
        self.role = role
        switch number & 3 {
        case 0: versions = .tls13 ... .tls13
        case 1: versions = .tls12 ... .tls12
        default: versions = .tls12 ... .tls13
        }
        retries = number & 3 == 3
        authenticatesClient = number & 4 != 0
        usesALPN = number & 8 != 0
        usesRSA = number & 16 != 0
    }

    struct Contexts {
        let engine: TLSContext
        let peer: PeerContext
    }

    // Each is made once: what a setting costs would otherwise be most of an input's time.
    nonisolated(unsafe) private static var made: [EngineSetting: Contexts] = [:]

    static func contexts(_ setting: EngineSetting, _ materials: Materials) throws -> Contexts? {
        if let known = unsafe made[setting] { return known }
        let server = setting.usesRSA ? materials.rsaLeaf : materials.leaf
        let isServer = setting.role == .server
        let own = isServer ? server : materials.alice
        let other = isServer ? materials.alice : server
        let context = try TLSContext(
            role: setting.role,
            policy: setting.policy,
            identities: isServer || setting.authenticatesClient ? [materials.identity(own)] : [],
            trust: materials.trust
        )
        guard
            let peer = PeerContext(
                isServer ? .client : .server,
                setting.versions,
                chain: isServer && !setting.authenticatesClient ? [] : other.chainDER,
                key: try other.privateKeyDER
            )
        else { return nil }
        // A server that accepts another group than the one guessed first asks for a second hello.
        if setting.retries { peer.set(groups: isServer ? "X25519:P-384" : "P-384") }
        if setting.usesALPN, isServer { peer.set(alpn: [2] + Array("h2".utf8)) }
        let contexts = Contexts(engine: context, peer: peer)
        unsafe made[setting] = contexts
        return contexts
    }

    private var policy: TLSPolicy {
        var policy = TLSPolicy()
        policy.minimumVersion = versions.lowerBound
        policy.maximumVersion = versions.upperBound
        if retries { policy.groups = role == .server ? ["P-384"] : ["x25519", "P-384"] }
        if usesALPN { policy.alpn = ["h2", "http/1.1"] }
        if role == .server, authenticatesClient { policy.clientAuthentication = .require }
        policy.limits.clientHelloBytes = 4096
        policy.limits.postHandshakeMessages = 8
        return policy
    }
}

/// Some settings and scripts that reach each operation.
func engineSeeds() -> [String: [UInt8]] {
    var seeds: [String: [UInt8]] = [:]
    for number in 0..<32 { seeds["plain-\(number)"] = [UInt8(number), number % 5 == 4 ? 1 : 0] }
    for operation in UInt8(0)..<16 {
        for (setting, skipped) in [(0, 0), (1, 1), (4, 2)] as [(UInt8, Int)] {
            let passed = [UInt8](repeating: 0, count: skipped)
            seeds["operation-\(operation)-\(setting)"] =
                [setting, 0] + passed + [operation, 0, 9, 3, 1, 2, 3]
        }
        let after: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        for kind in UInt8(0)..<6 where operation == 14 {
            seeds["after-\(kind)"] = [0, 0] + after + [14, kind, 1, 0, 14, 5, 0, 9, 15, 0, 1, 0]
        }
    }
    return seeds
}
