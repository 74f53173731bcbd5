// Where signed certificate timestamps are: the leaf, the staple, and an extension of the handshake. The
// latter is asked for by an extension of our own, since OpenSSL's (`SSL_CTX_enable_ct`) would ask for
// a staple as well, and verify what nobody here judges.

import COpenSSL

extension CertificateTimestamps {
    /// Reads what a server shows.
    ///
    /// - Parameters:
    ///   - leaf: Its certificate.
    ///   - response: The stapled OCSP response as it came.
    ///   - list: The list of the handshake.
    init(leaf: Certificate?, response: [UInt8]?, list: [UInt8]?) {
        add(list, .handshake)
        if let leaf {
            let pointer = unsafe leaf.handle.pointer
            let place = unsafe X509_get_ext_by_NID(pointer, NID_ct_precert_scts, -1)
            if place >= 0 {
                let list = unsafe contents(X509_get_ext(pointer, place))
                add(list ?? [], .certificate)
            }
        }
        if let response, let basic = try? OCSPBasicResponse(response),
            let list = basic.timestampList
        {
            add(list, .staple)
        }
        ErrorQueue.clear()
    }
}

extension OCSPBasicResponse {
    /// The list of timestamps beside the first statement; nil without one.
    var timestampList: [UInt8]? { unsafe timestampExtension.map { unsafe contents($0) ?? [] } }
}

/// The octet string inside of an extension (RFC 6962 §3.3); nil when there is none.
func contents(_ entry: OpaquePointer?) -> [UInt8]? {
    guard let data = unsafe X509_EXTENSION_get_data(entry),
        let start = unsafe cssl_string_data(data)
    else { return nil }
    var cursor: UnsafePointer<UInt8>? = unsafe start
    let count = Int(unsafe ASN1_STRING_length(data))
    guard let string = unsafe d2i_ASN1_OCTET_STRING(nil, &cursor, count) else { return nil }
    defer { unsafe ASN1_OCTET_STRING_free(string) }
    guard let end = unsafe cursor, unsafe end - start == count,
        let bytes = unsafe cssl_string_data(string)
    else { return nil }
    let length = Int(unsafe ASN1_STRING_length(string))
    return unsafe Array(UnsafeBufferPointer(start: bytes, count: length))
}

extension SSLContextBuilder {
    /// Has a client ask for timestamps, where it is told to.
    func setTimestampRequest() throws(TLSError) {
        guard role == .client, policy.requestsCertificateTimestamps else { return }
        let places = UInt32(
            SSL_EXT_CLIENT_HELLO | SSL_EXT_TLS1_2_SERVER_HELLO | SSL_EXT_TLS1_3_CERTIFICATE
        )
        let added = unsafe SSL_CTX_add_custom_ext(
            handle.pointer,
            CUnsignedInt(TLSEXT_TYPE_signed_certificate_timestamp),
            places,
            requestTimestamps,
            nil,
            nil,
            noteTimestamps,
            nil
        )
        guard added == 1 else { throw ErrorQueue.error(.internalError) }
    }
}

/// `SSL_CTX_add_custom_ext`: an empty extension in the ClientHello, and nowhere else.
@c(sockets_request_timestamps)
private func requestTimestamps(
    _ ssl: OpaquePointer?,
    _ number: CUnsignedInt,
    _ place: CUnsignedInt,
    _ start: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
    _ count: UnsafeMutablePointer<Int>?,
    _ certificate: OpaquePointer?,
    _ index: Int,
    _ alert: UnsafeMutablePointer<CInt>?,
    _ argument: UnsafeMutableRawPointer?
) -> CInt {
    guard place & CUnsignedInt(SSL_EXT_CLIENT_HELLO) != 0 else { return 0 }
    unsafe start?.pointee = nil
    unsafe count?.pointee = 0
    return 1
}

/// `SSL_CTX_add_custom_ext`: keeps what the server says of its leaf.
@c(sockets_note_timestamps)
private func noteTimestamps(
    _ ssl: OpaquePointer?,
    _ number: CUnsignedInt,
    _ place: CUnsignedInt,
    _ start: UnsafePointer<UInt8>?,
    _ count: Int,
    _ certificate: OpaquePointer?,
    _ index: Int,
    _ alert: UnsafeMutablePointer<CInt>?,
    _ argument: UnsafeMutableRawPointer?
) -> CInt {
    guard index == 0, let ssl = unsafe ssl,
        let record = unsafe SSL_get_ex_data(ssl, Callbacks.recordIndex)
    else { return 1 }
    let bytes = unsafe start.map { unsafe Array(UnsafeBufferPointer(start: $0, count: count)) }
    unsafe Unmanaged<VerificationRecord>.fromOpaque(record)._withUnsafeGuaranteedRef {
        $0.timestampList = bytes ?? []
    }
    return 1
}
