// Target `chain`. Input: a byte of settings, then edits of the certificates that a peer presents.
// Half of the inputs are signed again after the edit, so that the signature is not all that is wrong.
// Passes when the handshake ends by itself, and an accepted leaf is valid now and for the name.

import COpenSSL
import TLSEngine
import TLSTestKit

func fuzzChain(_ input: [UInt8], _ materials: Materials) throws {
    var script = ScriptReader(input)
    let setting = script.byte()
    let role: TLSRole = setting & 1 == 0 ? .client : .server
    let issued = role == .client ? materials.leaf : materials.alice
    var chain = issued.chainDER
    var isEdited = false
    for _ in 0..<16 where !script.isAtEnd {
        isEdited = true
        let place = Int(script.byte()) % (chain.count + 1)
        // One place too far stands for another certificate behind the chain.
        if place == chain.count {
            chain.append(materials.ca.rootDER)
        } else {
            chain[place].edit(&script)
        }
    }
    if setting & 2 != 0, isEdited { try signAgain(&chain, materials) }
    let version: ProtocolVersion = setting & 4 == 0 ? .tls13 : .tls12
    guard
        let context = PeerContext(
            role == .client ? .server : .client,
            version...version,
            chain: chain,
            key: try issued.privateKeyDER
        )
    else { return note(16, 0) }
    defer { context.free() }
    guard let peer = FuzzPeer(role == .client ? .server : .client, context) else { return }
    var wire = FuzzWire(
        EngineUnderTest(try makeEngine(role, version, setting, materials)),
        peer,
        pieces: .max
    )
    wire.begin()
    wire.finish(isTouched: isEdited)
    guard wire.engine.isReady else { return }
    judgeAccepted(wire.engine.engine.report, role, isLenient: setting & 8 != 0)
}

private func makeEngine(
    _ role: TLSRole,
    _ version: ProtocolVersion,
    _ setting: UInt8,
    _ materials: Materials
) throws -> TLSEngine {
    var trust = materials.trust
    if setting & 8 != 0 { trust.strictness = .lenient(because: "of the fuzzer") }
    let context = try TLSContext(
        role: role,
        policy: TLSPolicy { policy in
            policy.minimumVersion = version
            policy.maximumVersion = version
            if role == .server { policy.clientAuthentication = .require }
        },
        identities: role == .server ? [materials.identity(materials.leaf)] : [],
        trust: trust
    )
    return try TLSEngine(context, remoteName: role == .client ? "localhost" : nil)
}

private func judgeAccepted(_ report: HandshakeReport, _ role: TLSRole, isLenient: Bool) {
    guard let leaf = report.peerChain.first else {
        return require(false, "a chain was presented")
    }
    let now = UnixTime(seconds: Materials.now)
    require(report.isPeerTrusted && report.verification == nil, "an accepted peer is trusted")
    require(leaf.notBefore <= now && now <= leaf.notAfter, "an accepted leaf is valid now")
    require(isLenient || !leaf.isCA, "an accepted leaf is no authority")
    require(report.verifiedChain.first == leaf, "the verified chain begins with the leaf")
    guard role == .client, let name = try? ServerName("localhost") else { return }
    require(leaf.matches(name), "an accepted leaf is for the name")
}

/// Signs each certificate with the key of who should have issued it.
private func signAgain(_ chain: inout [[UInt8]], _ materials: Materials) throws {
    let issuers = [materials.intermediate.identity, materials.ca.identity, materials.ca.identity]
    for place in chain.indices {
        let key = try issuers[min(place, 2)].privateKeyDER
        guard let signed = resign(chain[place], key) else { continue }
        chain[place] = signed
    }
}

private func resign(_ der: [UInt8], _ key: [UInt8]) -> [UInt8]? {
    defer { ERR_clear_error() }
    let x509 = unsafe der.withUnsafeBufferPointer {
        var cursor = $0.baseAddress
        return unsafe d2i_X509(nil, &cursor, $0.count)
    }
    guard let x509 = unsafe x509 else { return nil }
    defer { unsafe X509_free(x509) }
    let privateKey = unsafe key.withUnsafeBufferPointer {
        var cursor = $0.baseAddress
        return unsafe d2i_AutoPrivateKey(nil, &cursor, $0.count)
    }
    guard let privateKey = unsafe privateKey else { return nil }
    defer { unsafe EVP_PKEY_free(privateKey) }
    guard unsafe X509_sign(x509, privateKey, EVP_sha256()) > 0 else { return nil }
    var start: UnsafeMutablePointer<UInt8>?
    let count = unsafe i2d_X509(x509, &start)
    guard let start = unsafe start, count > 0 else { return nil }
    defer { unsafe cssl_free(start) }
    return unsafe Array(UnsafeBufferPointer(start: start, count: Int(count)))
}

func chainSeeds() -> [String: [UInt8]] {
    var seeds: [String: [UInt8]] = [:]
    for setting in UInt8(0)..<16 {
        seeds["plain-\(setting)"] = [setting]
        for kind in UInt8(4)..<8 {
            seeds["edit-\(setting)-\(kind)"] = [setting, kind % 2, kind, 0, kind * 5, 2, 1, 1]
        }
    }
    return seeds
}
