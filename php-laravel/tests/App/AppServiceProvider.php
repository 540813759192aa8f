<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests\App;

use Illuminate\Support\Facades\Auth;
use Illuminate\Support\Facades\Broadcast;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\Facades\Route;
use Illuminate\Support\ServiceProvider;
use Snug\Laravel\Events\MemberJoined;
use Snug\Laravel\Events\MemberLeft;

/** Registers what providers of an application do: users, routes, rules of channels, and a listener. */
final class AppServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        Auth::provider('any', static fn (): Users => new Users());
        Broadcast::routes();
        require $this->app->basePath('routes/channels.php');
        Route::middleware('web')->group($this->app->basePath('routes/web.php'));
        // tests/laravel-echo.spec.ts reads the log.
        $log = static function (object $event): void {
            $line = class_basename($event) . " $event->user $event->channel\n";
            file_put_contents(storage_path('events.log'), $line, FILE_APPEND);
        };
        Event::listen(MemberJoined::class, $log);
        Event::listen(MemberLeft::class, $log);
    }
}
