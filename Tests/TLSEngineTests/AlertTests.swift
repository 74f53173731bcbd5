import Testing

@testable import TLSEngine

@Suite
struct AlertTests {
    @Test(
        "an alert prints its registered name and number",
        arguments: [
            (Alert.closeNotify, "close_notify (0)"), (.badRecordMAC, "bad_record_mac (20)"),
            (.handshakeFailure, "handshake_failure (40)"), (.unknownCA, "unknown_ca (48)"),
            (.protocolVersion, "protocol_version (70)"),
            (.unrecognizedName, "unrecognized_name (112)"),
            (.certificateRequired, "certificate_required (116)"),
            (.noApplicationProtocol, "no_application_protocol (120)"), (Alert(200), "alert 200"),
        ]
    )
    func text(_ alert: Alert, _ text: String) {
        #expect(alert.description == text)
    }

    @Test("an unknown number has a name all the same")
    func unknownName() {
        #expect(Alert(200).name == "alert 200")
        #expect(Alert(112).name == "unrecognized_name")
    }

    @Test("close_notify is a warning; every other alert is fatal unless said otherwise")
    func levels() {
        #expect(Alert.closeNotify.level == .warning)
        #expect(Alert(90, level: .warning).level == .warning)
        #expect((1...255).allSatisfy { Alert(UInt8($0)).level == .fatal })
    }

    @Test("alerts of one number and different levels differ")
    func equality() {
        #expect(Alert(40) == .handshakeFailure)
        #expect(Alert(40, level: .warning) != .handshakeFailure)
    }

    @Test("exactly the alerts about certificates judge a certificate")
    func judging() {
        let judging = (0...255).filter { Alert(UInt8($0)).judgesCertificate }
        #expect(judging == [41, 42, 43, 44, 45, 46, 47, 48, 49, 51, 113, 114, 116])
    }
}
