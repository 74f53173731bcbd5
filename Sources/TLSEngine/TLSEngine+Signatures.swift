// Handshakes whose private key is elsewhere: the engine's side. A step stops in the middle of a flight,
// and wants a decision; the next one goes on there.

extension TLSEngine {
    /// What the handshake waits for; nil when it does not wait for a signature.
    var signatureRequest: SignatureRequest? {
        connection.signatureRequest(role: context.role)
    }

    /// Has the next step go on with a signature, if that is what it should be, or fail.
    mutating func settle(_ request: SignatureRequest, _ answer: TLSAnswer) {
        guard case .signature(let signature) = answer, deliberation?.refusal == nil else {
            return connection.answer(signature: [])
        }
        guard request.isSigned(by: signature) else {
            deliberation?.refuse(request.invalidSignature(of: signature.count), .internalError)
            return connection.answer(signature: [])
        }
        connection.answer(signature: signature)
    }

    /// What there is so far of a flight that must not leave before another question is answered.
    func keepBackSignedFlight(
        _ deliberation: Deliberation,
        _ before: Int,
        _ output: inout OutputSpan<UInt8>
    ) {
        guard deliberation.isWithholding || mustWithhold(deliberation, before, output.count)
        else { return }
        deliberation.withheld += output.removeEnd(from: before)
        deliberation.isWithholding = true
    }
}
