from tools import cli, projector

if __name__ == '__main__':
    cli.run(projector.main)
