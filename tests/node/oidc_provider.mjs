// An OpenID-certified provider (npm: oidc-provider) for the integration tests, on a loopback port of its own.
//
//   node tests/node/oidc_provider.mjs ['{"accessTokenFormat":"jwt", …}']
//
// Prints one line of JSON when it listens: {"issuer":"http://127.0.0.1:PORT"}. Then it reads commands, one line of JSON
// each, and answers each with one line:
//   {"register":{…}}  registers a relying party (client metadata of OpenID Connect Registration 1.0 §2)
//   {"requests":true} the requests that were answered so far, oldest first, without any secret
// It ends when its standard input closes, so that no test leaves one behind. Everything is in memory.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

// Standard output is for answers alone; the provider's own notices would mix with them.
console.log = console.info = console.error;

const settings = {
  // 0 takes a free port; the port of one that has ended makes a provider that has forgotten everything.
  port: 0,
  // Seconds.
  accessTokenLifetime: 60,
  refreshTokenLifetime: 3600,
  // "opaque", or "jwt": every access token is then one for `resource`, and there is no userinfo endpoint, because a
  // token for a resource is refused there (userinfo: true brings it back, and with it opaque tokens).
  accessTokenFormat: 'opaque',
  resource: 'https://upstream.example/',
  userinfo: undefined,
  // A second use of a refresh token ends the whole grant.
  rotateRefreshTokens: true,
  // false: the consent page comes after the first login of an account at a relying party.
  consentGiven: false,
  clients: [],
  accounts: [
    { login: 'alice', email: 'alice@example.com', email_verified: true, name: 'Alice Example', groups: ['staff', 'admins'] },
    { login: 'bob', email: 'bob@example.com', email_verified: true, name: 'Bob Example', groups: ['staff'] },
    { login: 'carol', email: 'carol@example.com', email_verified: false, name: 'Carol Example', groups: ['guests'] },
  ],
  ...JSON.parse(process.argv[2] ?? '{}'),
};
const jwt = settings.accessTokenFormat === 'jwt';
const resourceScopes = 'openid profile email';

const metadata = (client) => ({
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: client.client_secret ? 'client_secret_basic' : 'none',
  ...client,
});

const key = (type, options) => {
  const { privateKey } = generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', kid: randomBytes(8).toString('hex') };
};

const configuration = {
  clients: settings.clients.map(metadata),
  jwks: {
    keys: [
      key('rsa', { modulusLength: 2048 }),
      key('ec', { namedCurve: 'P-256' }),
      key('ec', { namedCurve: 'P-384' }),
      key('ed25519'),
    ],
  },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519'] },
  // By itself it calls no loopback address, and that is where relying parties under test listen.
  fetch: (url, options) => fetch(url, { ...options, dispatcher: undefined }),
  pkce: { required: () => true },
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username', 'groups'],
  },
  // It knows the name, and its forms never reach the level: an `acr` that cannot be had.
  acrValues: ['urn:strong'],
  // The claims are in the ID token, not at userinfo alone.
  conformIdTokenClaims: false,
  scopes: ['openid', 'offline_access'],
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    backchannelLogout: { enabled: true },
    userinfo: { enabled: settings.userinfo ?? !jwt },
    resourceIndicators: {
      enabled: jwt,
      defaultResource: () => settings.resource,
      getResourceServerInfo: () => ({
        scope: resourceScopes,
        audience: settings.resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: settings.accessTokenLifetime,
      }),
    },
  },
  ttl: {
    AccessToken: settings.accessTokenLifetime,
    RefreshToken: settings.refreshTokenLifetime,
    IdToken: 3600,
    Interaction: 600,
    Session: 86400,
    Grant: 86400,
  },
  // By itself it wants `offline_access` together with `prompt=consent`, and lets the token die with its own session.
  issueRefreshToken: () => true,
  expiresWithSession: () => false,
  rotateRefreshToken: () => settings.rotateRefreshTokens,
  findAccount: (_context, login) => {
    const account = settings.accounts.find((one) => one.login === login);
    if (!account) return undefined;
    const { login: preferred_username, ...claims } = account;
    return { accountId: login, claims: () => ({ sub: login, preferred_username, ...claims }) };
  },
};

if (settings.consentGiven) {
  configuration.loadExistingGrant = async (context) => {
    const { client, session, params, provider } = context.oidc;
    const known = session.grantIdFor(client.clientId);
    // The grant may have been revoked since, with the tokens that came from it.
    const living = known && (await provider.Grant.find(known));
    if (living) return living;
    const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope(params.scope);
    if (jwt) grant.addResourceScope(settings.resource, resourceScopes);
    await grant.save();
    return grant;
  };
}

const answer = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const fail = (error) => {
  process.stderr.write(`${error.stack ?? error}\n`);
  process.exit(70);
};

const server = createServer();
server.on('error', fail);
server.listen(settings.port, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);

  const requests = [];
  provider.use(async (context, next) => {
    await next();
    const { body, params } = context.oidc ?? {};
    requests.push({
      method: context.method,
      path: context.path,
      status: context.status,
      grant_type: params?.grant_type,
      token_type_hint: params?.token_type_hint,
      client_id: context.oidc?.client?.clientId ?? body?.client_id,
      error: context.body?.error,
    });
  });
  server.on('request', provider.callback());

  const commands = createInterface({ input: process.stdin });
  commands.on('line', async (line) => {
    try {
      const command = JSON.parse(line);
      if (command.register) {
        const client = metadata(command.register);
        // Validates like any other registration, then the adapter remembers it.
        new provider.Client(client);
        await provider.Client.adapter.upsert(client.client_id, client);
        answer({ registered: client.client_id });
      } else if (command.requests) {
        answer({ requests });
      } else {
        answer({ error: 'unknown command' });
      }
    } catch (error) {
      answer({ error: error.error_description ?? error.message });
    }
  });
  commands.on('close', () => process.exit(0));
  answer({ issuer });
});
