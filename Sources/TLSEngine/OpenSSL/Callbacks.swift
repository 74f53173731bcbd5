// Every function that OpenSSL calls back, and the look-up of what belongs to a connection. No logic
// lives here: each forwards to Swift. The pointers are unretained; their owners (the connection, or
// the context that OpenSSL holds on behalf of each connection) outlive every call.

import COpenSSL

enum Callbacks {
    /// The slot of a connection's `VerificationRecord`.
    static let recordIndex = cssl_ssl_ex_index()
    /// The slot of a connection's `Deliberation`; nil in most.
    static let deliberationIndex = cssl_ssl_ex_index()

    static func deliberation(of ssl: OpaquePointer?) -> Deliberation? {
        guard let pointer = unsafe SSL_get_ex_data(ssl, deliberationIndex) else { return nil }
        return unsafe Unmanaged<Deliberation>.fromOpaque(pointer).takeUnretainedValue()
    }
}

/// The server's application protocols as the selection callback needs them.
final class ApplicationProtocolPreferences: Sendable {
    let wireForm: [UInt8]

    init(wireForm: [UInt8]) {
        self.wireForm = wireForm
    }
}

/// `SSL_CTX_set_cert_verify_callback`: judges the peer's chain.
@c(sockets_verify_peer)
func verifyPeer(_ store: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> CInt {
    let place = SSL_get_ex_data_X509_STORE_CTX_idx()
    guard let store = unsafe store,
        let ssl = unsafe X509_STORE_CTX_get_ex_data(store, place),
        let record = unsafe SSL_get_ex_data(OpaquePointer(ssl), Callbacks.recordIndex)
    else { return 0 }
    return unsafe Unmanaged<VerificationRecord>.fromOpaque(record)._withUnsafeGuaranteedRef {
        let isInOrder = unsafe $0.judge(
            store,
            applicationProtocol: SSLConnection.applicationProtocol(of: OpaquePointer(ssl))
        )
        guard isInOrder, let deliberation = $0.deliberation else { return isInOrder ? 1 : 0 }
        let isConfirmed = unsafe deliberation.confirmServer($0, store, OpaquePointer(ssl))
        guard isConfirmed == 1, deliberation.pending == nil else { return isConfirmed }
        return unsafe deliberation.confirmStaple($0, store, OpaquePointer(ssl))
    }
}

/// `SSL_CTX_set_tlsext_status_cb` of a client: the peer's flight is in, with a staple or without.
@c(sockets_judge_staple)
func judgeStaple(_ ssl: OpaquePointer?, _ context: UnsafeMutableRawPointer?) -> CInt {
    guard let ssl = unsafe ssl, let record = unsafe SSL_get_ex_data(ssl, Callbacks.recordIndex)
    else { return 1 }
    return unsafe Unmanaged<VerificationRecord>.fromOpaque(record)._withUnsafeGuaranteedRef {
        unsafe $0.judgeStaple(ssl, SSLConnection.ocspResponse(of: ssl)) ? 1 : 0
    }
}

/// `SSL_CTX_set_alpn_select_cb`: the server's choice; alert 120 without overlap (RFC 7301 §3.2).
@c(sockets_select_application_protocol)
func selectApplicationProtocol(
    _ ssl: OpaquePointer?,
    _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ chosenCount: UnsafeMutablePointer<UInt8>?,
    _ offer: UnsafePointer<UInt8>?,
    _ offerCount: CUnsignedInt,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    guard let chosen = unsafe chosen, let chosenCount = unsafe chosenCount,
        let offer = unsafe offer
    else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    let bytes = unsafe UnsafeBufferPointer(start: offer, count: Int(offerCount))
    let choice: Range<Int>?
    if let chosen = unsafe Callbacks.deliberation(of: ssl)?.applicationProtocols {
        choice = unsafe ApplicationProtocolList.choose(from: chosen.wireForm, offer: bytes)
    } else {
        guard let context = unsafe context else { return SSL_TLSEXT_ERR_NOACK }
        choice = unsafe Unmanaged<ApplicationProtocolPreferences>.fromOpaque(context)
            ._withUnsafeGuaranteedRef {
                unsafe ApplicationProtocolList.choose(from: $0.wireForm, offer: bytes)
            }
    }
    guard let choice else { return SSL_TLSEXT_ERR_ALERT_FATAL }
    unsafe chosen.pointee = offer + choice.lowerBound
    unsafe chosenCount.pointee = UInt8(choice.count)
    return SSL_TLSEXT_ERR_OK
}

/// `SSL_CTX_set_tlsext_servername_callback`: tells the client that its servername was seen.
@c(sockets_acknowledge_servername)
func acknowledgeServername(
    _ ssl: OpaquePointer?,
    _ alert: UnsafeMutablePointer<CInt>?,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    SSL_TLSEXT_ERR_OK
}

/// `SSL_CTX_set_client_hello_cb` of a server that requires ALPN: refuses a hello without it.
@c(sockets_require_application_protocol)
func requireApplicationProtocol(
    _ ssl: OpaquePointer?,
    _ alert: UnsafeMutablePointer<CInt>?,
    _ context: UnsafeMutableRawPointer?
) -> CInt {
    var start: UnsafePointer<UInt8>?
    var count = 0
    let extensionNumber = CUnsignedInt(TLSEXT_TYPE_application_layer_protocol_negotiation)
    if unsafe SSL_client_hello_get0_ext(ssl, extensionNumber, &start, &count) == 1 {
        return SSL_CLIENT_HELLO_SUCCESS
    }
    unsafe alert?.pointee = CInt(TLS1_AD_NO_APPLICATION_PROTOCOL)
    return SSL_CLIENT_HELLO_ERROR
}
