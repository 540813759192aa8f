<?php

/**
 * Settings of Snug. `php artisan snug:check` checks them.
 */

declare(strict_types=1);

return [

    // The Worker's URL, such as https://chat.example.com.
    'url' => env('SNUG_URL'),

    // Seconds until a request to the Worker times out.
    'timeout' => env('SNUG_TIMEOUT', 10),

    // The author of what your application publishes.
    'user' => env('SNUG_USER', 'server'),

    // The tokens of browsers and of your application. All but `ttl` must be as the Worker has them.
    'jwt' => [
        'secret' => env('SNUG_JWT_SECRET'), // JWT_SECRET
        'algorithm' => env('SNUG_JWT_ALGORITHM', 'HS256'), // JWT_HMAC_ALGORITHM
        'issuer' => env('SNUG_JWT_ISSUER'), // JWT_ISSUER
        'audience' => env('SNUG_JWT_AUDIENCE'), // JWT_AUDIENCE

        // Seconds until a browser's token ends. Echo gets a new one before that, so routes/channels.php is asked again
        // as often.
        'ttl' => env('SNUG_TOKEN_TTL', 3600),
    ],

    // Browsers may do this in each kind of channel: receive, history, signal (whisper), presence (here, joining and
    // leaving), publish and moderate. Guests are users who are not signed in; they reach only public channels.
    // With `history`, a page receives what it has missed while its connection was lost, and can read what was
    // published before it joined.
    'capabilities' => [
        'guest' => ['receive', 'history'],
        'public' => ['receive', 'history'],
        'private' => ['receive', 'history', 'signal'],
        'presence' => ['receive', 'history', 'signal', 'presence'],
    ],

    // The route that receives webhooks. Without a secret, it responds with 404.
    'webhook' => [
        'path' => env('SNUG_WEBHOOK_PATH', 'snug/webhook'),
        'secret' => env('SNUG_WEBHOOK_SECRET'), // WEBHOOK_SECRET
        'previous_secret' => env('SNUG_WEBHOOK_SECRET_PREVIOUS'), // WEBHOOK_SECRET_PREVIOUS, during a rotation
        'middleware' => [],
    ],

];
