// Target `certificate`. Input: what to read, then the bytes themselves or edits of sound ones.
// Passes when what is read can be looked at in every way and is the same through PEM again, and what
// is refused is refused with a code that speaks of certificates and keys.

import TLSEngine
import TLSTestKit

func fuzzCertificate(_ input: [UInt8], _ materials: Materials) throws {
    var script = ScriptReader(input)
    let mode = script.byte() % 8
    note(3, Int(mode))
    switch mode {
    case 0: readCertificates(script.rest())
    case 1: readKey(script.rest(), materials.leaf)
    case 2:
        // The passphrase is given for what is nobody's key: with one, an input that says it was
        // derived in a billion rounds would take as long.
        readKey(Array(script.rest().prefix(64)), materials.leaf, passphrase: "secret")
    default:
        let issued = script.byte() & 1 == 0 ? materials.leaf : materials.rsaLeaf
        var bytes = try base(mode, issued)
        var edits = 0
        while !script.isAtEnd, edits < 16 {
            bytes.edit(&script)
            edits += 1
        }
        if mode >= 6 { readKey(bytes, issued) } else { readCertificates(bytes) }
    }
}

private func base(_ mode: UInt8, _ issued: IssuedCertificate) throws -> [UInt8] {
    switch mode {
    case 3, 4: issued.certificateDER
    case 5: Array(issued.chainPEM.utf8)
    case 6: try issued.privateKeyDER
    default: Array(try issued.privateKeyPEM.utf8)
    }
}

private func readCertificates(_ bytes: [UInt8]) {
    do throws(TLSError) {
        let certificates = try Certificate.read(bytes)
        require(!certificates.isEmpty, "what was read is not empty")
        note(4, min(certificates.count, 4))
        for certificate in certificates.prefix(8) { look(at: certificate) }
        var policy = TrustPolicy(anchors: certificates)
        policy.verificationTime = UnixTime(seconds: Materials.now)
        _ = try TLSContext(role: .client, trust: policy)
    } catch {
        expect(error, in: [.invalidCertificate])
    }
}

private func readKey(_ bytes: [UInt8], _ issued: IssuedCertificate, passphrase: SecretBytes? = nil)
{
    do throws(TLSError) {
        let chain = Array(issued.certificatePEM.utf8)
        let identity = try TLSIdentity(
            certificate: chain,
            privateKey: bytes,
            passphrase: passphrase
        )
        note(5, 1)
        _ = try TLSContext(role: .server, identities: [identity])
    } catch {
        expect(error, in: [.invalidPrivateKey, .wrongPassphrase, .keyMismatch])
    }
}

private func expect(_ error: TLSError, in codes: [TLSError.Code]) {
    require(codes.contains { $0 == error.code }, "\(String(reflecting: error)) has a fitting code")
    for reason in error.reasons { note(6, Int(reason.library), Int(reason.reason)) }
}

/// Reads everything a certificate tells, and finds it again in PEM.
func look(at certificate: Certificate) {
    let names = certificate.subjectAlternativeNames
    let texts = [
        certificate.subject, certificate.issuer, certificate.commonName ?? "",
        certificate.signatureAlgorithm, certificate.description, certificate.publicKey.type,
        certificate.notBefore.description, certificate.notAfter.description,
    ]
    note(7, names.count % 8, texts.count { $0.isEmpty })
    _ = (certificate.isCA, certificate.isSelfSigned, certificate.requiresStaple)
    require(certificate.sha256Fingerprint.count == 32, "a digest has 32 bytes")
    require(certificate.publicKey.bits >= 0, "a key has no negative size")
    _ = certificate.serialNumber
    for name in names.prefix(4) {
        guard case .dns(let text) = name, let server = try? ServerName(text) else { continue }
        note(8, certificate.matches(server) ? 1 : 0)
    }
    let again = try? Certificate.read(Array(certificate.pem.utf8))
    require(again == [certificate], "\(certificate) is the same through PEM")
    require(
        again?.first?.subject == certificate.subject,
        "and tells the same"
    )
}

func certificateSeeds(_ materials: Materials) throws -> [String: [UInt8]] {
    var seeds: [String: [UInt8]] = [
        "empty": [0], "pem": [5, 0], "pem-rsa": [5, 1], "key-der": [6, 0], "key-pem": [7, 0],
        "key-rsa": [7, 1], "der-content": [3, 0, 4, 0, 20, 3, 1, 2, 3],
        "der-tag": [3, 0, 5, 0, 12, 12], "der-twice": [4, 1, 7, 0, 9],
        "der-without": [4, 0, 6, 0, 9],
        "not-a-key": [2] + Array("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGb\n".utf8),
        "der": [0] + materials.leaf.certificateDER,
        "root": [0] + materials.ca.rootDER,
        "armour": [0] + Array(materials.leaf.certificatePEM.utf8),
    ]
    for fault in CertificateFault.allCases {
        let issued = try fault.scenario(under: materials.ca).certificate
        // Larger ones, of thousands of names, would only slow the fuzzer down.
        guard issued.certificateDER.count < 4096 else { continue }
        seeds["fault-\(fault.name.filter { $0.isLetter || $0.isNumber })"] =
            [0] + issued.certificateDER
    }
    return seeds
}
