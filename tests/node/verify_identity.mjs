// Verifies an identity assertion as docs/headers.md tells applications to, with the npm package `jose`, which comes with
// oidc-provider.
//
//   node verify_identity.mjs '{"token": …, "keys": {"keys": […]}, "algorithm": …, "issuer": …, "audience": …, "now": …}'
//
// Prints the payload and the header, or why the token is refused.
import { createLocalJWKSet, jwtVerify } from 'jose';

const { token, keys, algorithm, issuer, audience, now } = JSON.parse(process.argv[2]);
try {
  const { payload, protectedHeader } = await jwtVerify(token, createLocalJWKSet(keys), {
    typ: 'vestibule-identity+jwt',
    algorithms: [algorithm],
    issuer,
    audience,
    requiredClaims: ['sub', 'exp', 'jti'],
    clockTolerance: 5,
    currentDate: new Date(now * 1000),
  });
  console.log(JSON.stringify({ payload, header: protectedHeader }));
} catch (error) {
  console.log(JSON.stringify({ refused: error.code ?? String(error) }));
}
