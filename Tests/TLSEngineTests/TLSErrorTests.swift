import Testing

@testable import TLSEngine

@Suite
struct TLSErrorTests {
    static func failure(_ code: VerificationCode, depth: Int = 0) -> VerificationFailure {
        VerificationFailure(code: code, depth: depth, text: "text")
    }

    @Test("errors are equal when code, alert and verification code are, whatever the texts say")
    func equality() {
        let short = TLSError(.truncated)
        let long = TLSError(
            .truncated,
            phase: .open,
            detail: "detail",
            hint: "hint",
            reasons: [OpenSSLReason(library: 20, reason: 294, text: "text")]
        )
        #expect(short == long)
        #expect(short.hashValue == long.hashValue)
        #expect(short != TLSError(.badRecord))
    }

    @Test("alert and verification code tell errors of one code apart; depth does not")
    func evidence() {
        let alert = TLSError(.alertReceived, alert: .unknownCA)
        #expect(alert != TLSError(.alertReceived, alert: .badCertificate))
        #expect(alert != TLSError(.alertReceived))
        let expired = TLSError(.certificateRejected, verification: Self.failure(.expired))
        let deeper = TLSError(.certificateRejected, verification: Self.failure(.expired, depth: 1))
        let other = TLSError(.certificateRejected, verification: Self.failure(.invalidCA))
        #expect(expired == deeper)
        #expect(expired != other)
        #expect(Set([expired, deeper, other, alert]).count == 3)
    }

    @Test("every code has a category and a text of its own, lower case, without a stop")
    func codes() {
        let texts = TLSError.Code.allCases.map(\.text)
        #expect(Set(texts).count == texts.count)
        for text in texts {
            #expect(!text.isEmpty && !text.hasSuffix("."))
        }
        let categories = Set(TLSError.Code.allCases.map { TLSError($0).category })
        #expect(categories == [.local, .peer, .incompatible, .policy, .internal])
    }

    @Test(
        "the category says who must act",
        arguments: [
            (TLSError.Code.alertReceived, TLSError.Category.peer), (.truncated, .peer),
            (.handshakeMessageTooLarge, .peer), (.certificateRejected, .policy),
            (.peerCertificateMissing, .policy), (.noApplicationProtocol, .incompatible),
            (.noSharedParameters, .incompatible), (.keyMismatch, .local), (.invalidPolicy, .local),
            (.handshakeIncomplete, .local), (.engineClosed, .local), (.internalError, .internal),
        ]
    )
    func category(_ code: TLSError.Code, _ category: TLSError.Category) {
        #expect(TLSError(code).category == category)
    }

    @Test("the description says what, why, where and the cure, in that order")
    func description() {
        let error = TLSError(
            .alertReceived,
            phase: .serverHello,
            alert: .unrecognizedName,
            detail: "detail",
            hint: "Cure",
            reasons: [OpenSSLReason(library: 20, reason: 1112, text: "reason")]
        )
        let line =
            "the peer sent the alert unrecognized_name (112): detail"
            + " (phase: waiting for the ServerHello). Cure"
        #expect(error.description == line)
        #expect(error.debugDescription == line + " [reason]")
        #expect(TLSError(.truncated).debugDescription == TLSError(.truncated).description)
    }

    @Test("a refused certificate is described with rule, depth and expected name")
    func verificationDescription() {
        let failure = VerificationFailure(
            code: .hostnameMismatch,
            depth: 0,
            text: "hostname mismatch",
            expectedName: "a.test"
        )
        let error = TLSError(.certificateRejected, phase: .certificate, verification: failure)
        let line =
            "certificate refused: hostname mismatch at depth 0, expected a.test"
            + " (phase: certificate)"
        #expect(error.description == line)
    }

    @Test("phases are told in words that differ")
    func phases() {
        let texts = HandshakePhase.allCases.map(\.description)
        #expect(Set(texts).count == HandshakePhase.allCases.count)
    }
}
