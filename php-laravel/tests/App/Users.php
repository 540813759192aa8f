<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests\App;

use Illuminate\Auth\GenericUser;
use Illuminate\Contracts\Auth\Authenticatable;
use Illuminate\Contracts\Auth\UserProvider;

/** The users of the test application: any name is one, and passwords are not checked. */
final class Users implements UserProvider
{
    public function retrieveById($identifier): Authenticatable
    {
        return new GenericUser(['id' => (string) $identifier, 'name' => ucfirst((string) $identifier)]);
    }

    public function retrieveByToken($identifier, $token): ?Authenticatable
    {
        return null;
    }

    public function updateRememberToken(Authenticatable $user, $token): void
    {
    }

    public function retrieveByCredentials(array $credentials): ?Authenticatable
    {
        return null;
    }

    public function validateCredentials(Authenticatable $user, array $credentials): bool
    {
        return false;
    }

    public function rehashPasswordIfRequired(
        Authenticatable $user,
        array $credentials,
        bool $force = false,
    ): void {
    }
}
