// Target `revocation`. Input: what to read, then the bytes themselves or edits of sound ones.
// Passes when a response that counts says what its issuer signed, whatever was done to it, one that does
// not is refused with a code that says why, and a list that is read is the same through DER again.

import TLSEngine
import TLSTestKit

func fuzzRevocation(_ input: [UInt8], _ materials: Materials) throws {
    var script = ScriptReader(input)
    let mode = script.byte() % 8
    note(11, Int(mode))
    switch mode {
    case 0: try readResponse(script.rest(), materials)
    case 1: readLists(script.rest())
    default:
        let isList = mode >= 6
        var bytes = try isList ? list(materials) : response(mode, materials)
        var edits = 0
        while !script.isAtEnd, edits < 16 {
            bytes.edit(&script)
            edits += 1
        }
        if isList { readLists(bytes) } else { try readResponse(bytes, materials) }
    }
}

private func response(_ mode: UInt8, _ materials: Materials) throws -> [UInt8] {
    let id = try OCSPCertificateID(of: materials.leaf, issuedBy: materials.intermediate)
    var recipe = OCSPAnswerRecipe([.init(id, mode == 2 ? .revoked() : .good)])
    if mode == 3 { recipe.singles[0].nextUpdate = nil }
    if mode == 4 {
        let delegate = try materials.intermediate.issue(.responder("Responder"))
        recipe.responder = .delegate(delegate)
    }
    if mode == 5 { recipe.isByKey = true }
    return try materials.intermediate.ocspAnswer(recipe).der
}

private func list(_ materials: Materials) throws -> [UInt8] {
    try materials.intermediate.revocationList(revoking: [materials.leaf]).der
}

private func readResponse(_ bytes: [UInt8], _ materials: Materials) throws {
    let identity = try materials.identity(materials.leaf)
    let issuer = try Certificate(der: materials.intermediate.certificateDER)
    let time = UnixTime(seconds: Materials.now)
    do throws(TLSError) {
        let staple = try OCSPStaple(reading: bytes, for: identity, issuer: issuer, at: time)
        note(12, staple.status == .good ? 1 : 0)
        let since = UnixTime(seconds: Materials.now - 60)
        require(staple.thisUpdate == since, "only what the issuer signed counts")
        require(staple.producedAt == UnixTime(seconds: Materials.now - 30), "and all of it")
        require(staple.der == bytes, "the response is kept as it came")
    } catch {
        require(error.code == .invalidOCSPResponse, "\(error) speaks of a response")
        require(error.verification != nil && error.hint != nil, "\(error) says why")
        note(13, Int(error.verification?.code.rawValue ?? 0))
    }
}

private func readLists(_ bytes: [UInt8]) {
    do throws(TLSError) {
        let lists = try CertificateRevocationList.read(bytes)
        require(!lists.isEmpty, "what was read is not empty")
        for list in lists.prefix(4) {
            note(14, min(list.count, 4), list.nextUpdate == nil ? 0 : 1)
            _ = (list.issuer, list.thisUpdate, list.description)
            require(list.sha256Fingerprint.count == 32, "a digest has 32 bytes")
            let again = try CertificateRevocationList(der: list.der)
            require(again == list, "\(list) is the same through DER")
        }
    } catch {
        require(error.code == .invalidRevocationList, "\(error) speaks of a list")
    }
}

func revocationSeeds(_ materials: Materials) throws -> [String: [UInt8]] {
    var seeds: [String: [UInt8]] = [
        "empty": [0], "revoked": [2], "endless": [3], "delegate": [4], "by-key": [5], "list": [6],
        "bit": [3, 0, 0, 60, 1], "cut": [4, 3, 1, 0, 9], "content": [5, 4, 0, 20, 3, 1, 2, 3],
        "list-content": [6, 4, 0, 12, 3, 1, 2, 3],
        "der": [0] + (try response(3, materials)),
        "list-der": [1] + (try list(materials)),
        "list-pem": [1] + Array(try materials.intermediate.revocationList().pem.utf8),
    ]
    for fault in RevocationFault.allCases {
        let scenario = try fault.scenario(under: materials.ca)
        if let answer = scenario.answer { seeds["fault-\(fault.name)"] = [0] + answer.der }
        if let list = scenario.lists.first { seeds["fault-\(fault.name)"] = [1] + list.der }
    }
    return seeds
}
